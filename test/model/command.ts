import type { AsyncCommand } from 'fast-check';
import type { Model } from './model.js';
import { assertPromises } from './reachability.js';
import type { World } from './world.js';

export type ModelCommand = AsyncCommand<Model, World>;

/** One of several things, by itself or by a number that stands for one of those that there are then. */
export type Pick = number | string;

export function picked(from: readonly string[], pick: Pick): string {
  const chosen = typeof pick === 'string' ? pick : from[pick % from.length];
  if (chosen === undefined) throw new Error('there is nothing to pick from');
  return chosen;
}

/** What the commands have done in this process, for the closing note. */
export const tally = { runs: 0, steps: 0 };

export interface Definition {
  name: string;
  possible: (model: Model) => boolean;
  /** Does it for real and in the model; gives what it was done to, for the report. */
  act: (model: Model, world: World) => string | Promise<string>;
}

/** After every command every promise is looked at. */
export function command({ name, possible, act }: Definition): ModelCommand {
  let done = name;
  return {
    check: possible,
    async run(model, world) {
      tally.steps += 1;
      done = name;
      const step = world.log.push(name) - 1;
      const what = await act(model, world);
      done = what === '' ? name : `${name} ${what}`;
      world.log[step] = done;
      await assertPromises(model, world);
    },
    toString: () => done,
  };
}

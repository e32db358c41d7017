import type { KeptPlan } from '../../base/ipc.js';
import type { Plan } from './plan.js';

/** As keptPlan, of a rewind. */
export function keptRewind(
  projectId: string,
  actions: readonly { path: string; verdict: string; sha256: string | null }[],
): KeptPlan {
  const words = actions.map(({ path, verdict, sha256 }) => `${path}\0${verdict} ${sha256 ?? ''}`);
  return { projectId, count: actions.length, actions: words.join('\0') };
}

/** As keptPlan, of a purge: what goes, by the file that has it. */
export function keptPurge(projectId: string, going: ReadonlyMap<string, string>): KeptPlan {
  return { projectId, count: going.size, actions: [...going].flat().join('\0') };
}

/** What a dry run said, kept so that a run can be held to it. */
export function keptPlan(projectId: string, { actions }: Plan): KeptPlan {
  const words = actions.map(({ verdict, path, targets, source, cause, sha256 }) => {
    const where = targets.length === 0 ? '' : ` into ${targets.join(' and ')} from ${source}`;
    return `${path}\0${verdict}${where}${cause === null ? '' : ` (${cause})`} ${sha256 ?? ''}`;
  });
  return { projectId, count: actions.length, actions: words.join('\0') };
}

export interface PlanChange {
  project_id: string;
  path: string;
  /** What would be done with it then, and now, in words; null: nothing. */
  planned: string | null;
  now: string | null;
}

/** Where two plans do not do the same, in the order of paths; pure. */
export function changesOf(planned: readonly KeptPlan[], now: readonly KeptPlan[]): PlanChange[] {
  const projects = new Set([...planned, ...now].map(({ projectId }) => projectId));
  return [...projects].flatMap((project_id) => {
    const [before, after] = [actionsIn(planned, project_id), actionsIn(now, project_id)];
    return [...new Set([...before.keys(), ...after.keys()])]
      .sort()
      .map((path) => ({ project_id, path, planned: before.get(path) ?? null, now: after.get(path) ?? null }))
      .filter((change) => change.planned !== change.now);
  });
}

function actionsIn(plans: readonly KeptPlan[], projectId: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const plan of plans) {
    if (plan.projectId !== projectId || plan.count === 0) continue;
    const words = plan.actions.split('\0');
    for (let at = 0; at < words.length; at += 2) found.set(words[at] ?? '', (words[at + 1] ?? '').trimEnd());
  }
  return found;
}

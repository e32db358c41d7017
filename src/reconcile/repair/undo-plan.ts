import { errnoIn, type Presence } from '../../base/presence.js';
import type { ActionVerdict } from './plan.js';

/** What a run can do to a row; an undo takes files out of the project again, too. */
export type JournalVerdict = ActionVerdict | 'remove';

/** What is known of an action that was done, and of its file now. */
export interface UndoFact {
  verdict: JournalVerdict;
  /** A file was placed in the project, and its stamp is known. */
  hasPlaced: boolean;
  /** Null: it is gone. */
  row: {
    deleted: boolean;
    /** Nobody has written it since. */
    isUntouched: boolean;
  } | null;
  /** `placed` is what the action put there, and nobody has changed since. */
  inProject: Exclude<Presence, 'file' | 'directory' | 'symlink' | 'other' | 'blocked'> | 'placed' | 'other';
  /** Why absence proves nothing: its file system is not there. */
  placeDoubt: string | null;
  /** Why its bytes could not be had again once it is removed, or be placed now; null: they can. */
  contentProblem: string | null;
  /** Why nothing could be written at its place. */
  projectObstacle: string | null;
}

export type Inverse = { verdict: JournalVerdict } | { keep: string };

/** What takes an action back, or why it has to stay: pure, and total over every combination of facts. */
export function inverseOf(fact: UndoFact): Inverse {
  return fact.row === null ? keep('it is not in the index any more') : inverses[fact.verdict](fact, fact.row);
}

type Row = NonNullable<UndoFact['row']>;

function keep(reason: string): Inverse {
  return { keep: reason };
}

function remark(fact: UndoFact, { deleted }: Row): Inverse {
  if (deleted) return keep('it was marked deleted since');
  return absenceProblem(fact, 'it is in the project, and so it is not deleted') ?? { verdict: 'set_deleted' };
}

function unmark(fact: UndoFact, row: Row): Inverse {
  return (
    markProblem(row) ??
    absenceProblem({ ...fact, placeDoubt: null }, standsThere) ?? { verdict: 'clear_deleted' }
  );
}

function remove(fact: UndoFact, { deleted }: Row): Inverse {
  if (!fact.hasPlaced)
    return keep('nothing was placed in the project that was not there; copies in versions stay');
  if (deleted) return keep('it was deleted since');
  switch (fact.inProject) {
    case 'absent':
      return keep(fact.placeDoubt ?? 'it is gone already');
    case 'placed':
      if (fact.contentProblem !== null) return keep(`it could not be had again: ${fact.contentProblem}`);
      return { verdict: 'remove' };
    case 'other':
      return keep('it was changed since');
    default:
      return keep(unseen(fact.inProject));
  }
}

function restore(fact: UndoFact, row: Row): Inverse {
  const problem = markProblem(row) ?? absenceProblem(fact, standsThere);
  if (problem !== null) return problem;
  if (fact.contentProblem !== null) return keep(fact.contentProblem);
  if (fact.projectObstacle !== null) return keep(`in the project ${fact.projectObstacle}`);
  return { verdict: 'restore_from_cst' };
}

const standsThere = 'there is something at its place';

/** Whether the mark is still the one that was set. */
function markProblem({ deleted, isUntouched }: Row): Inverse | null {
  if (!deleted) return keep('it is not marked deleted any more');
  return isUntouched ? null : keep('it was marked deleted once more since');
}

/** Null where nothing stands at the path for sure. */
function absenceProblem({ inProject, placeDoubt }: UndoFact, whenThere: string): Inverse | null {
  if (inProject === 'placed' || inProject === 'other') return keep(whenThere);
  if (inProject !== 'absent') return keep(unseen(inProject));
  return placeDoubt === null ? null : keep(placeDoubt);
}

function unseen(presence: Presence): string {
  return `it cannot be looked at (${errnoIn(presence)})`;
}

const inverses: Record<JournalVerdict, (fact: UndoFact, row: Row) => Inverse> = {
  clear_deleted: remark,
  set_deleted: unmark,
  restore_from_cst: remove,
  remove: restore,
};

/** Taken out of the project by an undo that failed afterwards: only the mark is missing. */
export function isHalfRemoved({ verdict, inProject, placeDoubt, row }: UndoFact): boolean {
  const isGone = inProject === 'absent' && placeDoubt === null;
  return verdict === 'restore_from_cst' && isGone && row?.deleted === false;
}

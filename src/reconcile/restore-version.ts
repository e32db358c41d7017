import { CodekeepError } from '../base/errors.js';
import { isUnknown } from '../base/presence.js';
import { isSomething, type PathState } from '../store/history.js';
import type { FileKind } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import type { Project } from '../store/projects.js';
import { DeviceIds } from './devices.js';
import { writePlaced } from './placed-state.js';
import { assertRegisteredRoot, inspectRootOf, rootUnavailable } from './project-root.js';
import { RewindObserver } from './repair/rewind-observe.js';
import { cannotPlace, placeAll, refusal } from './restore.js';

/** A state that a path was in, and where it is to be. */
export interface VersionPlace {
  state: PathState;
  /** Relative to the root; its own path, or one beside it. */
  to: string;
}

type Wanted = PathState & { state: FileKind };

/**
 * Everything that would make the restore fail. Writes nothing.
 * @throws CodekeepError TARGET_FILE_EXISTS, PATH_OUTSIDE_ROOT, ROOT_UNAVAILABLE, FILE_NOT_FOUND
 */
export function checkVersion(index: IndexDatabase, project: Project, { state, to }: VersionPlace): Wanted {
  assertRegisteredRoot(inspectRootOf(index, project));
  if (!isSomething(state) || (state.state === 'file' && state.sha256 === null)) {
    throw new CodekeepError(
      'FILE_NOT_FOUND',
      `${state.path} cannot be restored: it was too large to be kept.`,
      'restore_deleted_files brings back one that was moved into versions; nothing was restored.',
      { path: state.path },
    );
  }
  const wanted = { ...state, path: to };
  const fact = new RewindObserver(index, project).fact(to, wanted);
  if (fact.refusal !== null) {
    throw new CodekeepError(
      'PATH_OUTSIDE_ROOT',
      `Nothing is restored to ${JSON.stringify(to)}: ${fact.refusal}.`,
      'Give another path in the project.',
      { path: to },
    );
  }
  if (fact.placeDoubt !== null) throw rootUnavailable(`${to}: ${fact.placeDoubt}`);
  if (isUnknown(fact.inProject) && fact.obstacle !== null) throw cannotPlace(to, fact.obstacle);
  if (fact.inProject !== 'absent')
    throw refusal(
      to,
      fact.inProject,
      'Restore it to another path ("as", --as), or "codekeep rewind" replaces what stands there; nothing was restored.',
    );
  if (fact.obstacle !== null) throw cannotPlace(to, fact.obstacle);
  if (fact.wantedProblem === null) return wanted;
  throw new CodekeepError(
    'FILE_NOT_FOUND',
    `${state.path} cannot be restored: ${fact.wantedProblem}.`,
    'list_file_versions has others that may be there; nothing was restored.',
    { path: state.path },
  );
}

/** Brings it there byte-exact, and nothing that stands anywhere is replaced. */
export async function restoreVersion(
  index: IndexDatabase,
  project: Project,
  place: VersionPlace,
  now: () => number,
): Promise<void> {
  const wanted = checkVersion(index, project, place);
  const devices = new DeviceIds(index, project);
  await placeAll(index, project, [{ ...wanted, kind: wanted.state, movedSha256: null }], now, (_, stamp) =>
    writePlaced(index, project.id, devices, wanted, stamp, 'restore', now()),
  );
}

import { randomBytes } from 'node:crypto';
import { assertRelativePath } from '../../base/paths.js';
import type { Result } from '../../contract/index.js';
import { deleteCheckpoint, insertCheckpoint, listCheckpoints, momentNow } from '../../store/checkpoints.js';
import { CodekeepError } from '../../base/errors.js';
import { fileByPath, type FileKind } from '../../store/files.js';
import {
  type Change,
  type ChangePlace,
  changes,
  isSomething,
  type PathState,
  statesOf,
  versionId,
} from '../../store/history.js';
import type { IndexDatabase } from '../../store/index-database.js';
import { knownSince, type Project, requireProject } from '../../store/projects.js';
import { isKeptFrom, policyOf, type Retention } from '../../store/retention.js';
import { cursorAt, placeIn } from './cursors.js';
import { diff } from './diff.js';
import { momentNamed } from './moments.js';
import { requireKnown } from './states.js';
import { iso, type IndexContext, type IndexMethods, isoOrNull, modeText } from './types.js';

type HistoryMethods = Pick<
  IndexMethods,
  'list_file_versions' | 'list_changes' | 'diff' | 'list_checkpoints' | 'remove_checkpoint'
>;

export function historyMethods({ index, host }: Pick<IndexContext, 'index' | 'host'>): HistoryMethods {
  return {
    async list_file_versions({ path, since, limit, cursor, ...reference }) {
      assertRelativePath(path);
      const project = requireProject(index, reference);
      const { id: fileId } = requireKnown(index, project, path);
      const before = Number(placeIn('version', cursor) ?? Number.MAX_SAFE_INTEGER);
      const after = since === undefined ? -1 : await momentNamed(index, project, 'since', since, true);
      const kept = { policy: policyOf(host.start.config), now: Date.now() };
      const { versions, next } = versionsOf(index, project, path, kept, { before, after }, limit);
      return {
        versions: versions.map((version) => wireVersion(fileId, version)),
        next_cursor: next === null ? null : cursorAt('version', String(next)),
      };
    },
    async list_changes({ since, until, path_prefix, limit, cursor, ...reference }) {
      const project = requireProject(index, reference);
      const timeOf = async (param: string, text: string | undefined): Promise<number | null> =>
        text === undefined ? null : await momentNamed(index, project, param, text, true);
      const choice = {
        since: (await timeOf('since', since)) ?? -1,
        until: (await timeOf('until', until)) ?? Number.MAX_SAFE_INTEGER,
        prefix: path_prefix ?? '',
        after: changePlace(cursor),
      };
      const found: Change[] = [];
      for (const change of changes(index, project, choice)) {
        found.push(change);
        if (found.length === limit) break;
      }
      const last = found.length < limit ? undefined : found.at(-1);
      return {
        changes: found.map((change) => wireChange(index, project.id, change)),
        next_cursor: last === undefined ? null : cursorAt('change', `${last.state.seenAt}/${last.path}`),
        recorded_since: isoOrNull(knownSince(project)),
      };
    },
    diff: async (params, { signal }) => await diff(index, params, signal),
    list_checkpoints({ limit, cursor, ...reference }) {
      const project = requireProject(index, reference);
      const place = placeAt(placeIn('checkpoint', cursor));
      const after = place === null ? null : { at: place.at, checkpointId: place.path };
      const found = listCheckpoints(index, project.id, limit, after);
      const last = found.length < limit ? undefined : found.at(-1);
      return {
        checkpoints: found.map(({ checkpointId, label, at }) => ({
          checkpoint_id: checkpointId,
          label,
          at: iso(at),
        })),
        next_cursor: last === undefined ? null : cursorAt('checkpoint', `${last.at}/${last.checkpointId}`),
      };
    },
    async remove_checkpoint({ checkpoint_id, ...reference }) {
      const project = requireProject(index, reference);
      const isRemoved = await index.write(() => deleteCheckpoint(index, project.id, checkpoint_id));
      if (isRemoved) return { removed: true };
      throw new CodekeepError(
        'NOT_FOUND',
        `The project has no checkpoint ${checkpoint_id}.`,
        'Call list_checkpoints to see those that there are.',
      );
    },
  };
}

/** Names this moment: everything that was written before the call is indexed. */
export async function noteCheckpoint(
  index: IndexDatabase,
  projectId: string,
  label: string | null,
): Promise<Result<'create_checkpoint'>> {
  const { id } = requireProject(index, { project_id: projectId });
  const checkpointId = `c${randomBytes(4).toString('hex')}`;
  const at = await index.write(() => {
    const now = momentNow(index, id, Date.now());
    insertCheckpoint(index, id, { checkpointId, label, at: now });
    return now;
  });
  return { checkpoint_id: checkpointId, label, at: iso(at) };
}

type WireVersion = Result<'list_file_versions'>['versions'][number];
type Version = PathState & { state: FileKind; goneCause: PathState['cause'] | null } & {
  change: WireVersion['change'];
  goneTo: WireVersion['gone_to'];
};

/**
 * States in which the path was something, the newest first, each with how it ended: those that began before a time and had not
 * ended at another one. `next` is for the next page.
 */
function versionsOf(
  index: IndexDatabase,
  project: Project,
  path: string,
  kept: Pick<Retention, 'policy' | 'now'>,
  { before, after }: { before: number; after: number },
  limit: number,
): { versions: Version[]; next: number | null } {
  const { id: projectId } = project;
  const versions: Version[] = [];
  // How the first of a page ended says the state behind it.
  let later = before === Number.MAX_SAFE_INTEGER ? undefined : stateBegunAt(index, projectId, path, before);
  for (let from = before; ;) {
    const states = statesOf(index, projectId, path, from, limit);
    for (const [place, state] of states.entries()) {
      if (state.goneAt !== null && state.goneAt <= after) return { versions, next: null };
      if (isSomething(state)) {
        const earlier = states[place + 1] ?? statesOf(index, projectId, path, state.seenAt, 1)[0];
        const change = changeTo(state, earlier, project, kept);
        versions.push({ ...state, change, goneTo: nothingIn(later), goneCause: later?.cause ?? null });
      }
      later = state;
      if (versions.length === limit) return { versions, next: state.seenAt };
    }
    if (later === undefined || states.length < limit) return { versions, next: null };
    from = later.seenAt;
  }
}

/** That a path was nothing is known of a moment at which its state would have been kept. */
function changeTo(
  { seenAt, cause, fromPath }: PathState,
  before: PathState | undefined,
  project: Project,
  kept: Pick<Retention, 'policy' | 'now'>,
): Version['change'] {
  if (cause === 'found') return 'found';
  if (fromPath !== null) return 'renamed';
  if (before?.state === 'deleted') return 'added';
  if (before !== undefined) return before.state === 'ignored' ? null : 'changed';
  const since = knownSince(project);
  return since !== null && isKeptFrom(since, seenAt, kept) ? 'added' : null;
}

function nothingIn(state: PathState | undefined): Version['goneTo'] {
  return state?.state === 'deleted' || state?.state === 'ignored' ? state.state : null;
}

function stateBegunAt(
  index: IndexDatabase,
  projectId: string,
  path: string,
  seenAt: number,
): PathState | undefined {
  return statesOf(index, projectId, path, seenAt + 1, 1)[0];
}

function wireVersion(fileId: number, version: Version): WireVersion {
  const { state, sha256, size, mode, seenAt, goneAt, change, cause, goneTo, goneCause, fromPath } = version;
  return {
    version_id: versionId(fileId, seenAt),
    kind: state,
    sha256,
    size,
    mode: modeText(mode),
    seen_at: iso(seenAt),
    gone_at: isoOrNull(goneAt),
    change,
    cause,
    gone_to: goneTo,
    gone_cause: goneCause,
    from_path: fromPath,
  };
}

function wireChange(
  index: IndexDatabase,
  projectId: string,
  { path, kind, state, before }: Change,
): Result<'list_changes'>['changes'][number] {
  const fileId = fileByPath(index, projectId, path)?.id ?? 0;
  const wasThere = before !== null && before.state !== 'deleted' && before.state !== 'purged';
  return {
    path,
    kind,
    from_path: state.fromPath,
    at: iso(state.seenAt),
    cause: state.cause,
    version_id: kind === 'deleted' ? null : versionId(fileId, state.seenAt),
    previous_version_id: wasThere ? versionId(fileId, before.seenAt) : null,
    size: kind === 'deleted' ? null : state.size,
    previous_size: wasThere ? before.size : null,
  };
}

function changePlace(cursor: string | undefined): ChangePlace | null {
  return placeAt(placeIn('change', cursor));
}

function placeAt(place: string | null): ChangePlace | null {
  if (place === null) return null;
  const slash = place.indexOf('/');
  return { at: Number(place.slice(0, slash)), path: place.slice(slash + 1) };
}

import { lstatSync, opendirSync } from 'node:fs';
import { dirname } from 'node:path';
import { isEmptyFolder } from '../../base/empty-folder.js';
import { relativePathProblem, splitPath } from '../../base/paths.js';
import { PlacingProblems } from '../../base/placing-problem.js';
import { type Presence, TreePresence } from '../../base/presence.js';
import { stampOfAny } from '../../base/stamp.js';
import { problemOfContent } from '../../store/contents.js';
import { fileByPath, type FileRow, hasOtherName } from '../../store/files.js';
import { type PathState, pathsChangedSince } from '../../store/history.js';
import type { IndexDatabase } from '../../store/index-database.js';
import type { Project } from '../../store/projects.js';
import { stateOf } from '../../store/revisions.js';
import { ownFolders } from '../bounds.js';
import { DeviceDoubts } from '../devices.js';
import { ContentSources, findContent } from '../heal.js';
import { ruleFiles } from '../ignore-rules.js';
import { OwnFiles } from '../own-files.js';
import { doubtOf, inspectRootOf } from '../project-root.js';
import { clockStepMs } from '../proven-stamp.js';
import { contentHashAt } from '../version-store.js';
import type { Condition, RewindFact } from './rewind-plan.js';

/** Which contents are proven to be there: those of what is wanted, those of what is there, or none for who only wants to know whether there is anything to do. */
export type Proven = 'none' | 'wanted' | 'present' | 'all';

/** Looks at paths that are to be what they were. Folders are remembered for as long as the object lives. */
export class RewindObserver {
  readonly #index: IndexDatabase;
  readonly #project: Project;
  readonly #tree: TreePresence;
  readonly #to: number | null;
  readonly #rootDoubt: string | null;
  readonly #devices: DeviceDoubts;
  readonly #places: PlacingProblems;
  readonly #sources: ContentSources;
  readonly #own: OwnFiles;
  readonly #ownFolders = new Map<string, boolean>();
  #rulesChanged: boolean | null = null;

  /** @param to the moment that is wanted, in milliseconds since 1970; null where what was there then is known already */
  constructor(index: IndexDatabase, project: Project, to: number | null = null) {
    this.#to = to;
    this.#index = index;
    this.#project = project;
    this.#tree = new TreePresence(project.rootDir);
    this.#devices = new DeviceDoubts(index, project);
    this.#places = new PlacingProblems(project.rootDir);
    this.#sources = new ContentSources(index);
    this.#own = new OwnFiles(ownFolders({ index, stateDir: dirname(index.path) }));
    this.#rootDoubt = doubtOf(inspectRootOf(index, project));
  }

  fact(
    path: string,
    wanted: PathState | undefined,
    proven: Proven = 'all',
    row = fileByPath(this.#index, this.#project.id, path),
  ): RewindFact {
    const fact: RewindFact = {
      path,
      wanted: conditionOf(wanted),
      present: conditionOfRow(row),
      inProject: 'unknown:path',
      isAsIndexed: false,
      wasThere: false,
      holds: [],
      folderMode: -1,
      refusal: this.#refusalOf(path),
      placeDoubt: this.#rootDoubt ?? (row === undefined ? null : this.#devices.doubtOf(row)),
      wantedProblem: null,
      presentProblem: null,
      obstacle: null,
    };
    if (fact.refusal !== null || fact.placeDoubt !== null) return fact;
    fact.inProject = this.#tree.at(path);
    fact.obstacle = this.#places.at(path);
    if (fact.present.kind === 'absent') {
      if (fact.inProject === 'directory') {
        fact.holds = this.#holdsOf(path);
        fact.folderMode = this.#modeOf(path);
      }
    } else if (row !== undefined) {
      fact.isAsIndexed = this.#isAsIndexed(row, fact.present, fact.inProject);
      fact.wasThere = wanted === undefined && this.#wasThere(row, fact.present);
      if (proven === 'present' || proven === 'all') fact.presentProblem = this.#problemOf(fact.present);
    }
    if (proven === 'wanted' || proven === 'all') fact.wantedProblem = this.#problemOf(fact.wanted);
    return fact;
  }

  #modeOf(path: string): number {
    return (lstatSync(this.#tree.pathOf(path), { throwIfNoEntry: false })?.mode ?? -1) & 0o7777;
  }

  #refusalOf(path: string): string | null {
    const problem = relativePathProblem(path);
    if (problem !== null) return `its path ${problem}`;
    if (path.split('/').includes('.git')) return "it is git's own";
    const isOwn = this.#own.standsAt(this.#tree.pathOf(path)) || this.#isInOwn(splitPath(path).folder);
    return isOwn ? "it is codekeep's own" : null;
  }

  #isInOwn(folder: string): boolean {
    let isOwn = this.#ownFolders.get(folder);
    if (isOwn === undefined) {
      isOwn = this.#own.hold(folder === '' ? this.#project.rootDir : this.#tree.pathOf(folder));
      this.#ownFolders.set(folder, isOwn);
    }
    return isOwn;
  }

  #isAsIndexed(row: FileRow, { kind }: Condition, presence: Presence): boolean {
    try {
      const absolute = this.#tree.pathOf(row.path);
      if (kind === 'folder') return presence === 'directory' && isEmptyFolder(absolute);
      if (presence !== kind) return false;
      const stamp = stampOfAny(lstatSync(absolute, { bigint: true }));
      if (stamp.size !== row.size || stamp.mode !== row.mode) return false;
      const isSameFile = stamp.ino === row.ino && stamp.mtimeNs === row.mtimeNs;
      // One that was taken aside and put back has another ctime, and its bytes.
      if (isSameFile && stamp.ctimeNs === row.ctimeNs) return true;
      return contentHashAt(absolute, presence) === row.sha256;
    } catch {
      return false;
    }
  }

  /**
   * Whether what came by itself stands there since before the moment that is wanted, such as what rules ignored then: by its
   * ctime, or by its birth where rules were changed since; a folder by its birth alone, since its ctime is that of what was in it. A
   * folder that was moved keeps these of what is in it, so what the index has by another name, too, may have been moved.
   */
  #wasThere({ id, path }: FileRow, { kind }: Condition): boolean {
    if (this.#to === null || stateOf(this.#index, id)?.cameBy !== 'edit') return false;
    const isBefore = (ns: bigint): boolean =>
      ns > 0n && Number(ns / 1_000_000n) + clockStepMs < (this.#to ?? 0);
    const stats = lstatSync(this.#tree.pathOf(path), { bigint: true, throwIfNoEntry: false });
    if (stats === undefined) return false;
    const isUntouched = kind !== 'folder' && isBefore(stats.ctimeNs);
    const isOld = isUntouched || (isBefore(stats.birthtimeNs) && this.#haveRulesChanged());
    return isOld && (kind === 'folder' || !hasOtherName(this.#index, id));
  }

  #haveRulesChanged(): boolean {
    this.#rulesChanged ??= pathsChangedSince(this.#index, this.#project.id, this.#to ?? 0).some((path) =>
      ruleFiles.includes(splitPath(path).name),
    );
    return this.#rulesChanged;
  }

  #problemOf(condition: Condition): string | null {
    if (!('sha256' in condition) || condition.kind === 'folder' || condition.sha256 === null) return null;
    if (problemOfContent(this.#index, condition.sha256) === null) return null;
    const rendering = findContent(this.#index, condition.sha256, this.#sources);
    return 'problem' in rendering ? rendering.problem : null;
  }

  /** What is in a folder that is in the way, as far as a plan can take it away. */
  #holdsOf(folder: string): string[] {
    const found: string[] = [];
    const look = (path: string): void => {
      const entries = opendirSync(this.#tree.pathOf(path));
      let isEmpty = true;
      try {
        for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
          isEmpty = false;
          const inner = `${path}/${entry.name}`;
          if (entry.isDirectory()) look(inner);
          else found.push(inner);
          if (found.length > heldMax) return;
        }
      } finally {
        entries.closeSync();
      }
      if (isEmpty && path !== folder) found.push(path);
    };
    try {
      look(folder);
    } catch {
      // What cannot be looked into is not taken away.
      return [`${folder}/`];
    }
    return found;
  }
}

/** A folder with more in it is not taken away for a file. */
const heldMax = 100_000;

function conditionOf(state: PathState | undefined): Condition {
  if (state === undefined || state.state === 'deleted') return { kind: 'absent' };
  if (state.state === 'ignored' || state.state === 'purged') return { kind: state.state };
  return state.state === 'folder' ? folderOf(state.mode) : { ...state, kind: state.state };
}

function conditionOfRow(row: FileRow | undefined): Condition {
  if (row === undefined) return { kind: 'absent' };
  if (row.folderMode !== null) return folderOf(row.folderMode);
  if (row.deleted === 1) return { kind: 'absent' };
  if (row.ignored === 1) return { kind: 'ignored' };
  return row.kind === 'folder' ? folderOf(row.mode) : row;
}

function folderOf(mode: number): Condition {
  return { kind: 'folder', sha256: null, mode, size: 0 };
}

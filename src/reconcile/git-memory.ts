/**
 * What git said of a project's repositories, for the next process: a start asks git only where something has changed
 * since. `derived/<project_id>.db-git` has a hash and JSON. It is nobody's only copy, and what is damaged, cut off or of
 * another version counts as not there; what it says is believed only while the files that git reads have the stamps that
 * they had (git-state.ts).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../base/hash.js';
import { version } from '../base/package.js';
import { gitAnswersPath } from '../store/derived/derived-database.js';
import { answerOf, type PlainAnswer, recallAnswer } from './git-state.js';
import type { IndexingContext } from './index-paths.js';
import { type ProjectGit, repositoriesOf } from './project-git.js';

/** More paths are not kept: to write and to read them would hold the process up for more than a slice. */
const keptMax = 200_000;

interface KeptFile {
  version: string;
  /** By the folders that repositories begin with, relative to the root; '' for the one that the root lies in. */
  answers: [folder: string, answer: PlainAnswer][];
}

/** By project id: the stamps of what is in its file, as far as this process knows. */
const keptStamps = new Map<string, string>();

type Kept = Pick<IndexingContext, 'index' | 'project'>;

/** Once a process: what it asks itself is newer. */
export function recallGit({ index, project }: Kept): void {
  if (keptStamps.has(project.id)) return;
  const answers = read(gitAnswersPath(index.path, project.id));
  keptStamps.set(project.id, stampsIn(answers));
  for (const [folder, answer] of answers) recallAnswer(join(project.rootDir, folder), answer);
}

/** Call it when the project was compared with what `git` says. */
export function keepGit({ index, project }: Kept, git: ProjectGit): void {
  const answers: KeptFile['answers'] = [];
  if (git.trackedCount > keptMax) return;
  for (const [folder, { gitDir }] of repositoriesOf(git)) {
    const answer = gitDir === null ? null : answerOf(join(project.rootDir, folder));
    if (answer !== null) answers.push([folder, answer]);
  }
  const stamps = stampsIn(answers);
  if (keptStamps.get(project.id) === stamps) return;
  keptStamps.set(project.id, stamps);
  const file: KeptFile = { version, answers };
  const text = JSON.stringify(file);
  try {
    writeFileSync(gitAnswersPath(index.path, project.id), `${sha256(Buffer.from(text))}\n${text}`, {
      mode: 0o600,
    });
  } catch {
    // Then the next process asks git.
  }
}

function read(path: string): KeptFile['answers'] {
  try {
    const content = readFileSync(path, 'utf8');
    const end = content.indexOf('\n');
    const text = content.slice(end + 1);
    if (sha256(Buffer.from(text)) !== content.slice(0, end)) return [];
    const file = JSON.parse(text) as KeptFile;
    return file.version === version ? file.answers : [];
  } catch {
    return [];
  }
}

function stampsIn(answers: KeptFile['answers']): string {
  return answers.map(([folder, { stamps }]) => `${folder}\0${stamps}`).join('\0');
}

import { isUtf8 } from 'node:buffer';
import type { StructuredPatch, StructuredPatchHunk } from 'diff';

/** What a path is at one of two moments. */
export interface Side {
  path: string;
  kind: 'file' | 'symlink';
  mode: number;
  /** Of a symlink its target. */
  bytes: Buffer;
}

export interface Patch {
  /** Unified, with git's headers: git apply makes exactly the later bytes of the earlier ones. */
  text: string;
  addedLines: number;
  removedLines: number;
}

/** Lines around a change, as git shows them. */
const contextLines = 3;

/**
 * The least difference is looked for up to so many lines: the time and the memory that it takes grow with their square, 0.2 s
 * and 30 MB for so many.
 */
const editsMax = 1_000;
/** And for so long (ms), where most lines of both are alike. */
const searchMaxMs = 5_000;

/** The patch that makes `after` of `before`, of which one may be null: nothing is there. Null where one of them is no text. */
export async function patchOf(before: Side | null, after: Side | null): Promise<Patch | null> {
  if (!isText(before) || !isText(after)) return null;
  if (before === null || after === null || before.kind === after.kind) return await patchFor(before, after);
  // As git has it: what was there goes, and what is there comes.
  const [going, coming] = [await patchFor(before, null), await patchFor(null, after)];
  return {
    text: going.text + coming.text,
    addedLines: coming.addedLines,
    removedLines: going.removedLines,
  };
}

/** A NUL makes it binary for git, too. */
function isText(side: Side | null): boolean {
  return side === null || (isUtf8(side.bytes) && !side.bytes.includes(0));
}

async function patchFor(before: Side | null, after: Side | null): Promise<Patch> {
  // Only here is the package needed: not every start has to load it.
  const { formatPatch } = await import('diff');
  const hunks = await hunksOf(before?.bytes.toString() ?? '', after?.bytes.toString() ?? '');
  const text = formatPatch({ ...headOf(before, after), hunks });
  const count = (sign: string): number =>
    hunks.reduce((sum, { lines }) => sum + lines.filter((line) => line.startsWith(sign)).length, 0);
  return { text: withTabs(text), addedLines: count('+'), removedLines: count('-') };
}

function headOf(before: Side | null, after: Side | null): Omit<StructuredPatch, 'hunks'> {
  const head = {
    isGit: true,
    oldFileName: before === null ? '/dev/null' : `a/${before.path}`,
    newFileName: after === null ? '/dev/null' : `b/${after.path}`,
    oldHeader: undefined,
    newHeader: undefined,
  };
  if (before === null) return { ...head, isCreate: true, ...(after && { newMode: gitMode(after) }) };
  if (after === null) return { ...head, isDelete: true, oldMode: gitMode(before) };
  const modes = before.mode === after.mode ? {} : modesOf(before, after);
  return { ...head, ...modes, ...(before.path !== after.path && { isRename: true }) };
}

/** git knows no other modes of files. */
function gitMode({ kind, mode }: Side): string {
  if (kind === 'symlink') return '120000';
  return (mode & 0o100) === 0 ? '100644' : '100755';
}

/** What git does not tell apart is said exactly: it would be no change otherwise. */
function modesOf(before: Side, after: Side): Pick<StructuredPatch, 'oldMode' | 'newMode'> {
  if (before.kind === 'symlink') return {};
  const [oldMode, newMode] = [gitMode(before), gitMode(after)];
  const exact = ({ mode }: Side): string => `100${mode.toString(8).padStart(3, '0').slice(-3)}`;
  return oldMode === newMode ? { oldMode: exact(before), newMode: exact(after) } : { oldMode, newMode };
}

async function hunksOf(before: string, after: string): Promise<StructuredPatchHunk[]> {
  if (before === after) return [];
  if (before === '' || after === '') return [replacing(linesOf(before), linesOf(after))];
  const { structuredPatch } = await import('diff');
  const options = { context: contextLines, maxEditLength: editsMax, timeout: searchMaxMs };
  // With a callback it gives way after each step.
  const least = await new Promise<StructuredPatch | undefined>((resolve) => {
    structuredPatch('', '', before, after, undefined, undefined, { ...options, callback: resolve });
  });
  return least?.hunks ?? [replacing(linesOf(before), linesOf(after))];
}

/** All that lies between what both begin and end with. */
function replacing(before: readonly string[], after: readonly string[]): StructuredPatchHunk {
  const shorter = Math.min(before.length, after.length);
  let first = 0;
  while (first < shorter && before[first] === after[first]) first += 1;
  let last = 0;
  while (last < shorter - first && before.at(-1 - last) === after.at(-1 - last)) last += 1;
  const start = Math.max(0, first - contextLines);
  const end = before.length - last;
  const oldLines = before.slice(first, end);
  const newLines = after.slice(first, after.length - last);
  const around = [...before.slice(start, first), ...before.slice(end, end + contextLines)];
  const lines = [
    ...before.slice(start, first).map((line) => ` ${line}`),
    ...oldLines.map((line) => `-${line}`),
    ...newLines.map((line) => `+${line}`),
    ...before.slice(end, end + contextLines).map((line) => ` ${line}`),
  ];
  return {
    oldStart: start + 1,
    oldLines: around.length + oldLines.length,
    newStart: start + 1,
    newLines: around.length + newLines.length,
    lines: lines.flatMap((line) =>
      line.endsWith('\n') ? [line.slice(0, -1)] : [line, '\\ No newline at end of file'],
    ),
  };
}

function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/gu) ?? [];
}

/** A tab ends a name with spaces, as git has it: patch(1) would take its first word for all of it. */
function withTabs(patch: string): string {
  const head = patch.indexOf('\n@@ ');
  if (head < 0) return patch;
  // Names in it have no line breaks: what has one is quoted.
  const named = patch.slice(0, head).replaceAll(/^(?:---|\+\+\+) [^"].* .*$/gmu, '$&\t');
  return named + patch.slice(head);
}

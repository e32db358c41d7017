/** Walks to their end. */
import type { IgnoreRules } from '#src/reconcile/ignore-rules.js';
import { TreeWalk, type WalkedFile, type WalkFindings, type WalkOptions } from '#src/reconcile/walk.js';

export interface Walked extends WalkFindings {
  /** In the order in which the walk gave them. */
  files: WalkedFile[];
}

export async function walkTree(
  root: string,
  folder: string,
  rules: IgnoreRules,
  options: WalkOptions = {},
): Promise<Walked> {
  const walk = new TreeWalk(root, rules, options);
  const files: WalkedFile[] = [];
  for await (const batch of walk.batches(folder)) files.push(...batch);
  return { ...walk.findings, files };
}

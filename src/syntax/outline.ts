/** The outline of a tree for the get_ast RPC: its named nodes, as nested plain objects. */
import { shapeAt } from './green-tree.js';
import type { GreenTree } from './green-tree.js';
import { layoutOf } from './layout.js';
import { linesIn } from './lines.js';

/** A named node or token; keys as on the wire. */
export interface AstNode {
  kind: string;
  /** 1-based, inclusive. */
  start_line: number;
  end_line: number;
  /** Its role in its parent. */
  field?: string;
  /** Of tokens: at most `outlineTextLengthMax` UTF-16 units. */
  text?: string;
  children?: AstNode[];
  /** Named descendants are left out here: deeper than asked for, or beyond `outlineNodesMax`. */
  truncated?: true;
}

/** Nodes in one answer; at about 80 bytes each it stays below 1 MB. */
export const outlineNodesMax = 10_000;

/** UTF-16 units. */
export const outlineTextLengthMax = 200;

/** Levels below the root, whatever is asked for: JSON.stringify and most parsers recurse on the nesting. */
export const outlineDepthMax = 200;

/**
 * The root with its named descendants down to `maxDepth` levels below it (0: the root alone). A named node under
 * an unnamed one counts as a child of the nearest named node around it.
 */
export function outline(tree: GreenTree, maxDepth: number): AstNode {
  const layout = layoutOf(tree);
  const lines = linesIn(tree);
  const depthMax = Math.min(maxDepth, outlineDepthMax);
  const describe = (index: number): AstNode => {
    const { kind, field, token } = shapeAt(tree, index);
    const start = layout.start[index] ?? 0;
    const end = layout.end[index] ?? 0;
    const node: AstNode = {
      kind,
      start_line: lines.lineAt(start),
      end_line: lines.lineAt(Math.max(start, end - 1)),
    };
    if (field !== null) node.field = field;
    if (token) node.text = tree.text.slice(start, Math.min(end, start + outlineTextLengthMax));
    return node;
  };
  const root = describe(0);
  /** The named nodes around the current element, outermost first, and where each ends. */
  const open: { node: AstNode; next: number }[] = [{ node: root, next: tree.shape.length }];
  let count = 1;
  let i = 1;
  while (i < tree.shape.length) {
    while (open.length > 1 && (open[open.length - 1]?.next ?? 0) <= i) open.pop();
    const parent = open[open.length - 1]?.node ?? root;
    if (!shapeAt(tree, i).named) {
      i++;
      continue;
    }
    if (count >= outlineNodesMax) {
      parent.truncated = true;
      return root;
    }
    if (open.length > depthMax) {
      parent.truncated = true;
      i = layout.next[i] ?? i + 1;
      continue;
    }
    const node = describe(i);
    (parent.children ??= []).push(node);
    count++;
    if (node.text === undefined) open.push({ node, next: layout.next[i] ?? i + 1 });
    i++;
  }
  return root;
}

/**
 * Entities: the functions, classes and other named things of a file, as a pure function of its green tree, so that
 * they can be rebuilt from the stored tree at any time. What counts as one is in entity-kinds.ts.
 *
 * One pass in preorder with an explicit stack of scopes; the nesting of the source is not bounded.
 */
import { bodyDocstring, commentText } from './docstrings.js';
import { classLikeKinds, entityTable, transparentKinds, valueKinds, wrapperKinds } from './entity-kinds.js';
import type { EntityKind, EntityRule } from './entity-kinds.js';
import { fieldChild, nameOf } from './entity-names.js';
import type { EntityName } from './entity-names.js';
import { shapeAt } from './green-tree.js';
import type { GreenTree } from './green-tree.js';
import type { Language } from './language.js';
import { childrenOf, layoutOf } from './layout.js';
import type { Layout } from './layout.js';
import { leadingRuns } from './leading.js';
import { linesIn } from './lines.js';

export { type EntityKind, entityKinds } from './entity-kinds.js';

export interface Entity {
  readonly kind: EntityKind;
  /** At most `nameLengthMax` (200) UTF-16 units. */
  readonly name: string;
  /** The names of all that it is in, and its own, joined by dots; cut at the front to `qualifiedNameLengthMax`. */
  readonly qualifiedName: string;
  /** 1-based, inclusive; decorators and `export` are in, comments before it are not. */
  readonly startLine: number;
  readonly endLine: number;
  /** UTF-16 units of the file's text. */
  readonly startOffset: number;
  readonly endOffset: number;
  /** The index of the entity it is in; always less than its own. */
  readonly parent: number | null;
  /** Comments before it, or Python's string, without markers; at most `docstringLengthMax` (2,000) units. */
  readonly docstring?: string;
}

/** UTF-16 units. Without a bound, n nested functions would have names of n² units in all. */
export const qualifiedNameLengthMax = 500;

/** Per file; the rest is left out. The largest hand-written files have some thousands. */
export const entitiesMax = 20_000;

/** How far up the tree a wrapper or the top is looked for: bounds the time for nested blocks. */
const ancestorsMax = 16;

/** What is open at a place in the tree: the innermost one qualifies and classifies what is found there. */
interface Scope {
  /** Element index; -1 for the file. */
  readonly element: number;
  /** The first element index after it. */
  readonly next: number;
  readonly kind: EntityKind | 'scope' | null;
  readonly entity: number | null;
  readonly qualifiedName: string;
  readonly openEnded: boolean;
}

/** All the entities of a parsed tree in the order of the text; none for a one-token tree. */
export function entitiesOf(tree: GreenTree, language: Language | null = tree.language): Entity[] {
  if (language === null || tree.fallback !== null) return [];
  const table = entityTable(language);
  const rules = tree.shapes.map((shape) => (shape.token ? undefined : table.get(shape.kind)));
  const layout = layoutOf(tree);
  const describe = describer(tree, layout, language);
  const entities: Entity[] = [];
  const file: Scope = {
    element: -1,
    next: tree.shape.length,
    kind: null,
    entity: null,
    qualifiedName: '',
    openEnded: false,
  };
  const scopes = [file];
  for (let i = 0; i < tree.shape.length && entities.length < entitiesMax; i++) {
    while (scopes.length > 1 && (scopes[scopes.length - 1]?.next ?? 0) <= i) scopes.pop();
    const rule = rules[tree.shape[i] ?? 0];
    if (rule === undefined) continue;
    const openEnded = rule.openEnded === true && fieldChild(tree, layout, i, 'body') === -1;
    // A second `namespace B;` ends the first.
    if (openEnded && scopes[scopes.length - 1]?.openEnded) scopes.pop();
    const scope = scopes[scopes.length - 1] ?? file;
    const name = applies(tree, layout, i, rule) ? nameOf(tree, layout, i, rule) : null;
    if (name === null) continue;
    const kind = kindOf(tree, layout, i, rule, name, scope);
    if (kind === null) continue;
    const qualifiedName = qualify(scope.qualifiedName, name);
    const end = openEnded ? (layout.parent[i] ?? -1) : i;
    const entity = kind === 'scope' ? scope.entity : entities.length;
    const next = layout.next[end] ?? file.next;
    if (rule.transparent !== true) scopes.push({ element: i, next, kind, entity, qualifiedName, openEnded });
    if (kind !== 'scope') entities.push({ kind, qualifiedName, parent: scope.entity, ...describe(i, name) });
  }
  return entities;
}

function applies(tree: GreenTree, layout: Layout, index: number, rule: EntityRule): boolean {
  if (rule.needsField !== undefined && fieldChild(tree, layout, index, rule.needsField) === -1) return false;
  if (rule.parentKind === undefined) return true;
  const parent = layout.parent[index] ?? -1;
  return parent !== -1 && shapeAt(tree, parent).kind === rule.parentKind;
}

/** What the rule makes of this element at this place; null when it is no entity here. */
function kindOf(
  tree: GreenTree,
  layout: Layout,
  index: number,
  rule: EntityRule,
  name: EntityName,
  scope: Scope,
): EntityKind | 'scope' | null {
  const value = valueKind(tree, layout, index, rule);
  if (value === null && rule.valueOnly === true) return null;
  if (value === null && !isInPlace(tree, layout, index, rule, scope)) return null;
  let kind = value ?? rule.kind;
  if (name.isFunction && (kind === 'variable' || kind === 'property')) kind = 'function';
  if (kind === 'function' && (isClassLike(scope.kind, tree) || name.qualifiers.length > 0)) return 'method';
  if (kind === 'variable' && isConstant(tree, layout, index, rule, name)) return 'constant';
  return kind;
}

function valueKind(tree: GreenTree, layout: Layout, index: number, rule: EntityRule): EntityKind | null {
  if (rule.valueField === undefined) return null;
  const value = fieldChild(tree, layout, index, rule.valueField);
  return value === -1 ? null : (valueKinds.get(shapeAt(tree, value).kind) ?? null);
}

/** Ruby's modules hold methods, too. */
function isClassLike(kind: Scope['kind'], tree: GreenTree): boolean {
  return kind !== null && (classLikeKinds.has(kind) || (kind === 'module' && tree.language === 'ruby'));
}

function isInPlace(tree: GreenTree, layout: Layout, index: number, rule: EntityRule, scope: Scope): boolean {
  if (rule.place === undefined) return true;
  const isTop = scope.kind === null || scope.kind === 'module';
  const isMember = isClassLike(scope.kind, tree);
  if (rule.place === 'top' ? !isTop : rule.place === 'member' ? !isMember : !isTop && !isMember) return false;
  let at = layout.parent[index] ?? -1;
  for (let steps = 0; steps < ancestorsMax; steps++) {
    // The parent of an open-ended scope holds what is in it as well.
    if (at <= 0 || at === scope.element) return true;
    if (!transparentKinds.has(shapeAt(tree, at).kind)) return false;
    at = layout.parent[at] ?? -1;
  }
  return false;
}

function isConstant(
  tree: GreenTree,
  layout: Layout,
  index: number,
  rule: EntityRule,
  name: EntityName,
): boolean {
  if (rule.constantBy === 'upper_case') return /^[A-Z][A-Z0-9_]*$/.test(name.name);
  if (rule.constantBy !== 'keyword') return false;
  const keyword = (layout.parent[index] ?? -1) + 1;
  return shapeAt(tree, keyword).kind === 'const';
}

function qualify(scope: string, name: EntityName): string {
  const parts = [...name.qualifiers, name.name];
  const joined = (scope === '' ? parts : [scope, ...parts]).join('.');
  return joined.slice(-qualifiedNameLengthMax);
}

/** The part of an entity that depends on its element alone. */
type Description = Pick<Entity, 'name' | 'startLine' | 'endLine' | 'startOffset' | 'endOffset' | 'docstring'>;

function describer(
  tree: GreenTree,
  layout: Layout,
  language: Language,
): (index: number, name: EntityName) => Description {
  const lines = linesIn(tree);
  const runs = leadingRuns(tree, layout);
  return (index, name) => {
    const outer = outermost(tree, layout, index);
    const startOffset = layout.start[outer] ?? 0;
    const endOffset = layout.end[outer] ?? 0;
    const run = runs.get(startOffset);
    const inBody = language === 'python' ? bodyDocstring(tree, layout, index) : null;
    const docstring = inBody ?? (run === undefined ? null : commentText(tree, layout, run));
    return {
      name: name.name,
      startLine: lines.lineAt(startOffset),
      // Some nodes end with their line end (C's #define): it is still their last line.
      endLine: lines.lineAt(Math.max(startOffset, endOffset - 1)),
      startOffset,
      endOffset,
      ...(docstring === null ? {} : { docstring }),
    };
  };
}

/** The outermost wrapper that holds this element and no other of its kind. */
function outermost(tree: GreenTree, layout: Layout, index: number): number {
  let at = index;
  for (let steps = 0; steps < ancestorsMax; steps++) {
    const parent = layout.parent[at] ?? -1;
    if (parent === -1 || !wrapperKinds.has(shapeAt(tree, parent).kind)) return at;
    const kind = shapeAt(tree, at).kind;
    let alike = 0;
    for (const child of childrenOf(layout, parent)) {
      if (shapeAt(tree, child).kind === kind && ++alike > 1) return at;
    }
    at = parent;
  }
  return at;
}

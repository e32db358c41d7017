/** Finding an entity's name in the green tree, by the ways that entity-kinds.ts names. All pure, none recursive. */
import type { EntityRule } from './entity-kinds.js';
import { shapeAt } from './green-tree.js';
import type { GreenTree } from './green-tree.js';
import { childrenOf } from './layout.js';
import type { Layout } from './layout.js';

export interface EntityName {
  readonly name: string;
  /** Names that the declaration itself puts before it, outermost first: `void A::B::f()`. */
  readonly qualifiers: readonly string[];
  /** A C or C++ declaration that declares a function. */
  readonly isFunction: boolean;
}

/** UTF-16 units. Longer names are cut: they come from damaged or generated files. */
export const nameLengthMax = 200;

/** Declarators inside each other; real ones have at most a handful of stars and brackets. */
const declaratorDepthMax = 32;

/** Names that hold others, to be split. Anything else, such as a string key with dots, is one name. */
const compoundNameKinds: ReadonlySet<string> = new Set([
  'qualified_identifier',
  'nested_namespace_specifier',
  'scope_resolution',
  'nested_identifier',
  'qualified_name',
  'namespace_name',
  'member_expression',
  'scoped_type_identifier',
]);

/** What JavaScript puts before an exported or inherited name and nobody would call part of it. */
const emptyQualifiers: ReadonlySet<string> = new Set([
  'exports',
  'module',
  'prototype',
  'this',
  'window',
  '',
]);

/** The first child of `index` in this field, or -1. */
export function fieldChild(tree: GreenTree, layout: Layout, index: number, field: string): number {
  for (const child of childrenOf(layout, index)) {
    if (shapeAt(tree, child).field === field) return child;
  }
  return -1;
}

/** The first child of `index` of this kind, or -1. */
export function kindChild(tree: GreenTree, layout: Layout, index: number, kind: string): number {
  for (const child of childrenOf(layout, index)) {
    if (shapeAt(tree, child).kind === kind) return child;
  }
  return -1;
}

/** The text of an element, at most `nameLengthMax` units of it. */
export function shortText(tree: GreenTree, layout: Layout, index: number): string {
  const start = layout.start[index] ?? 0;
  return tree.text.slice(start, Math.min(layout.end[index] ?? 0, start + nameLengthMax));
}

/** The name of the entity at `index` by `rule`, or null when it has none (anonymous, damaged, or a pattern). */
export function nameOf(tree: GreenTree, layout: Layout, index: number, rule: EntityRule): EntityName | null {
  if (rule.nameBy === 'default') return { name: 'default', qualifiers: [], isFunction: false };
  if (rule.nameBy === 'declarator') return declaratorName(tree, layout, index);
  const at =
    rule.nameKind === undefined
      ? fieldChild(tree, layout, index, rule.nameField ?? 'name')
      : kindChild(tree, layout, index, rule.nameKind);
  if (at === -1 || (rule.nameIs !== undefined && shapeAt(tree, at).kind !== rule.nameIs)) return null;
  const name = rule.nameBy === 'type' ? plain(typeName(tree, layout, at)) : splitName(tree, layout, at);
  if (name === null || rule.qualifierField === undefined) return name;
  const qualifier = fieldChild(tree, layout, index, rule.qualifierField);
  const text = qualifier === -1 ? '' : typeName(tree, layout, qualifier);
  return text === '' || text === 'self' ? name : { ...name, qualifiers: [text, ...name.qualifiers] };
}

function plain(name: string): EntityName | null {
  return name === '' ? null : { name, qualifiers: [], isFunction: false };
}

/** `(r *Recv[T])`, `&'a S<T>`, `a::S`: the type's own name. */
function typeName(tree: GreenTree, layout: Layout, index: number): string {
  const end = layout.next[index] ?? 0;
  for (let i = index; i < end; i++) {
    if (shapeAt(tree, i).kind === 'type_identifier') return shortText(tree, layout, i);
  }
  return shortText(tree, layout, index);
}

function splitName(tree: GreenTree, layout: Layout, index: number): EntityName | null {
  const kind = shapeAt(tree, index).kind;
  const text = shortText(tree, layout, index).trim();
  if (!compoundNameKinds.has(kind))
    return plain(text.replace(kind === 'section_name' ? /^\[|\]$/g : /^["'`$]|["'`]$/g, ''));
  const operator = text.indexOf('operator');
  // In `A<B>::operator<`, only what stands before the operator has template arguments to take off.
  const [scopes, last] = operator > 0 ? [text.slice(0, operator), text.slice(operator)] : [text, null];
  const parts = withoutTemplateArguments(scopes)
    .split(/::|\\|\./)
    .map((part) => part.trim());
  if (last !== null) parts[parts.length - 1] = last;
  const name = parts.pop() ?? '';
  // A computed or called member (`f(x).y`, `a[0].b`) has no name that anyone would look for.
  if (kind === 'member_expression' && !parts.every((part) => /^[\p{L}\p{N}_$#]+$/u.test(part))) return null;
  if (name === '') return null;
  return { name, qualifiers: parts.filter((part) => !emptyQualifiers.has(part)), isFunction: false };
}

/** `A<B<C>>::D` → `A::D`, by counting brackets. */
function withoutTemplateArguments(text: string): string {
  let depth = 0;
  let kept = '';
  for (const unit of text) {
    if (unit === '<') depth++;
    else if (unit === '>') depth--;
    else if (depth <= 0) kept += unit;
  }
  return kept;
}

/** C's declarators: the name is innermost, `int *(*name[3])(void)`. */
function declaratorName(tree: GreenTree, layout: Layout, index: number): EntityName | null {
  let at = fieldChild(tree, layout, index, 'declarator');
  let isFunction = false;
  for (let depth = 0; at !== -1 && depth < declaratorDepthMax; depth++) {
    const kind = shapeAt(tree, at).kind;
    if (kind === 'operator_cast') {
      const type = fieldChild(tree, layout, at, 'type');
      return { name: `operator ${shortText(tree, layout, type)}`, qualifiers: [], isFunction: true };
    }
    const inner = fieldChild(tree, layout, at, 'declarator');
    if (kind === 'function_declarator') {
      // `int (*f)(void)` is a variable that points to a function.
      isFunction = inner !== -1 && shapeAt(tree, inner).kind !== 'parenthesized_declarator';
    }
    if (inner === -1 && !kind.endsWith('_declarator')) {
      const name = splitName(tree, layout, at);
      return name === null ? null : { ...name, isFunction };
    }
    at = inner === -1 ? firstNamedChild(tree, layout, at) : inner;
  }
  return null;
}

function firstNamedChild(tree: GreenTree, layout: Layout, index: number): number {
  for (const child of childrenOf(layout, index)) {
    if (shapeAt(tree, child).named) return child;
  }
  return -1;
}

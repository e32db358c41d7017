/** Which syntax nodes are entities, as tables: node kind of the grammar → what it is and where its name is. */
import type { Language } from './language.js';

/** Stored by position (store/derived/layout-codec.ts): only ever append. */
export const entityKinds = [
  'function',
  'method',
  'class',
  'interface',
  'struct',
  'enum',
  'trait',
  'type',
  'module',
  'constant',
  'variable',
  'property',
] as const;

export type EntityKind = (typeof entityKinds)[number];

export interface EntityRule {
  /** `scope` qualifies what is inside and is no entity itself. A `function` directly in a class is a method. */
  readonly kind: EntityKind | 'scope';
  /** The field that holds the name (default `name`). */
  readonly nameField?: string;
  /** The child that holds the name, by its kind, where the grammar has no field for it. */
  readonly nameKind?: string;
  /** Only with a name of this kind: `x = 1` as opposed to `x[0] = 1`. */
  readonly nameIs?: string;
  /**
   * Other ways to a name. `declarator`: down C's declarator chain, which also tells functions from variables.
   * `type`: the first type name inside the field. `default`: the word, for JavaScript's anonymous default export.
   */
  readonly nameBy?: 'declarator' | 'type' | 'default';
  /** The field whose first type name qualifies the name: Go's receiver, Ruby's singleton object. */
  readonly qualifierField?: string;
  /** `top`: only outside of functions and classes; `member`: only directly in a class. Default anywhere. */
  readonly place?: 'top' | 'member' | 'top_or_member';
  /** Only with this field present: C's `struct S { }` as opposed to `struct S *p`. */
  readonly needsField?: string;
  /** Only as a child of a node of this kind. */
  readonly parentKind?: string;
  /**
   * The field that may hold a function or a class, which then decides the kind, wherever it is. Without one the
   * rule's own kind and place apply, or none if `valueOnly`.
   */
  readonly valueField?: string;
  readonly valueOnly?: boolean;
  /** When a variable is a constant: declared with the keyword `const`, or written in capitals. */
  readonly constantBy?: 'keyword' | 'upper_case';
  /** Nothing inside is qualified by it: C's `typedef struct S { } T;` declares S and T, not T.S. */
  readonly transparent?: boolean;
  /** Without a body it holds for all that follows in its parent: `namespace A;`. */
  readonly openEnded?: boolean;
}

export type EntityTable = Readonly<Record<string, EntityRule>>;

const fn: EntityRule = { kind: 'function' };
const method: EntityRule = { kind: 'method' };
const cls: EntityRule = { kind: 'class' };
const iface: EntityRule = { kind: 'interface' };
const struct: EntityRule = { kind: 'struct' };
const enumeration: EntityRule = { kind: 'enum' };
const trait: EntityRule = { kind: 'trait' };
const type: EntityRule = { kind: 'type' };
const module: EntityRule = { kind: 'module' };

const javascript: EntityTable = {
  function_declaration: fn,
  generator_function_declaration: fn,
  class_declaration: cls,
  method_definition: method,
  field_definition: { kind: 'property', nameField: 'property', valueField: 'value', place: 'member' },
  variable_declarator: {
    kind: 'variable',
    nameIs: 'identifier',
    valueField: 'value',
    place: 'top',
    constantBy: 'keyword',
  },
  pair: { kind: 'property', nameField: 'key', valueField: 'value', valueOnly: true },
  assignment_expression: { kind: 'variable', nameField: 'left', valueField: 'right', valueOnly: true },
  function_expression: { kind: 'function', nameBy: 'default', parentKind: 'export_statement' },
  arrow_function: { kind: 'function', nameBy: 'default', parentKind: 'export_statement' },
  class: { kind: 'class', nameBy: 'default', parentKind: 'export_statement' },
};

const typescript: EntityTable = {
  ...javascript,
  function_signature: fn,
  abstract_class_declaration: cls,
  interface_declaration: iface,
  enum_declaration: enumeration,
  type_alias_declaration: type,
  internal_module: module,
  module,
  method_signature: method,
  abstract_method_signature: method,
  property_signature: { kind: 'property', place: 'member' },
  public_field_definition: { kind: 'property', valueField: 'value', place: 'member' },
};

const cpp: EntityTable = {
  function_definition: { kind: 'function', nameBy: 'declarator' },
  declaration: { kind: 'variable', nameBy: 'declarator', place: 'top_or_member' },
  field_declaration: { kind: 'property', nameBy: 'declarator', place: 'member' },
  class_specifier: { kind: 'class', needsField: 'body' },
  struct_specifier: { kind: 'struct', needsField: 'body' },
  union_specifier: { kind: 'struct', needsField: 'body' },
  enum_specifier: { kind: 'enum', needsField: 'body' },
  type_definition: { kind: 'type', nameBy: 'declarator', transparent: true },
  alias_declaration: type,
  concept_definition: type,
  namespace_definition: module,
  preproc_def: { kind: 'constant', needsField: 'value' },
  preproc_function_def: fn,
};

const tables: Readonly<Record<Language, EntityTable>> = {
  python: {
    function_definition: fn,
    class_definition: cls,
    type_alias_statement: { kind: 'type', nameField: 'left' },
    assignment: {
      kind: 'variable',
      nameField: 'left',
      nameIs: 'identifier',
      place: 'top',
      constantBy: 'upper_case',
    },
  },
  javascript,
  typescript,
  tsx: typescript,
  go: {
    function_declaration: fn,
    method_declaration: { kind: 'method', qualifierField: 'receiver' },
    type_spec: { kind: 'type', valueField: 'type' },
    type_alias: type,
    method_elem: method,
    const_spec: { kind: 'constant', place: 'top' },
    var_spec: { kind: 'variable', place: 'top' },
  },
  rust: {
    function_item: fn,
    function_signature_item: fn,
    struct_item: struct,
    union_item: struct,
    enum_item: enumeration,
    trait_item: trait,
    impl_item: { kind: 'scope', nameField: 'type', nameBy: 'type' },
    mod_item: module,
    type_item: type,
    const_item: { kind: 'constant', place: 'top_or_member' },
    static_item: { kind: 'variable', place: 'top' },
    macro_definition: fn,
  },
  java: {
    class_declaration: cls,
    record_declaration: cls,
    interface_declaration: iface,
    annotation_type_declaration: iface,
    enum_declaration: enumeration,
    method_declaration: method,
    constructor_declaration: method,
    compact_constructor_declaration: method,
    variable_declarator: { kind: 'property', place: 'member', parentKind: 'field_declaration' },
  },
  c: cpp,
  cpp,
  csharp: {
    namespace_declaration: module,
    file_scoped_namespace_declaration: { kind: 'module', openEnded: true },
    class_declaration: cls,
    record_declaration: cls,
    struct_declaration: struct,
    interface_declaration: iface,
    enum_declaration: enumeration,
    delegate_declaration: type,
    method_declaration: method,
    constructor_declaration: method,
    local_function_statement: fn,
    property_declaration: { kind: 'property' },
    variable_declarator: { kind: 'property', place: 'member' },
  },
  ruby: {
    module,
    class: cls,
    method: fn,
    singleton_method: { kind: 'function', qualifierField: 'object' },
    assignment: { kind: 'constant', nameField: 'left', nameIs: 'constant', place: 'top_or_member' },
  },
  php: {
    namespace_definition: { kind: 'module', openEnded: true },
    class_declaration: cls,
    interface_declaration: iface,
    trait_declaration: trait,
    enum_declaration: enumeration,
    function_definition: fn,
    method_declaration: method,
    const_element: { kind: 'constant', nameKind: 'name', place: 'top_or_member' },
    property_element: { kind: 'property', place: 'member' },
  },
  shell: {
    function_definition: fn,
    variable_assignment: { kind: 'variable', place: 'top' },
  },
  css: {},
  json: { pair: { kind: 'property', nameField: 'key', place: 'top' } },
  ini: { section: { kind: 'module', nameKind: 'section_name' } },
};

/** The rules of a language by node kind. A Map, so that a kind named `constructor` finds nothing inherited. */
export function entityTable(language: Language): ReadonlyMap<string, EntityRule> {
  return new Map(Object.entries(tables[language]));
}

/** What a value (of `valueField`) makes of the thing that it is given to. */
export const valueKinds: ReadonlyMap<string, EntityKind> = new Map([
  ['arrow_function', 'function'],
  ['function_expression', 'function'],
  ['generator_function', 'function'],
  ['class', 'class'],
  ['struct_type', 'struct'],
  ['interface_type', 'interface'],
]);

/** Kinds in which a function is a method and a variable is a member. */
export const classLikeKinds: ReadonlySet<EntityKind | 'scope'> = new Set([
  'class',
  'interface',
  'struct',
  'enum',
  'trait',
  'scope',
]);

/** Nodes that add no scope of their own: what is in them is as near to the top, or to the class, as they are. */
export const transparentKinds: ReadonlySet<string> = new Set(
  [
    'program module source_file translation_unit compilation_unit document section',
    'export_statement ambient_declaration lexical_declaration variable_declaration expression_statement',
    'const_declaration const_spec_list var_declaration var_spec_list property_declaration',
    'declaration_list field_declaration_list class_body interface_body enum_body body_statement block statement_block',
    'object object_type field_declaration template_declaration declaration type_declaration enum_body_declarations',
    'preproc_if preproc_ifdef preproc_else preproc_elif linkage_specification enum_member_declaration_list',
  ].flatMap((words) => words.split(' ')),
);

/** Nodes that only wrap a declaration: its range is theirs (decorators, `export`, `template <...>`). */
export const wrapperKinds: ReadonlySet<string> = new Set(
  [
    'decorated_definition export_statement ambient_declaration template_declaration expression_statement',
    'lexical_declaration variable_declaration type_declaration const_declaration var_declaration',
    'field_declaration property_declaration',
  ].flatMap((words) => words.split(' ')),
);

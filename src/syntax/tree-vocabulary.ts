/**
 * The names that most shapes in stored trees have: node kinds and fields of the grammars, by position. They were taken
 * from 4,700 files: what one file in twenty of some language has. Fields stand first, then the kinds that many
 * languages share, then those of each language. Other names are stored letter by letter.
 *
 * It saves 3 % of the source with C, 6 % with TypeScript's small files. Part of format version 2 for ever: positions
 * are in stored trees, so only ever append.
 */

/** Names with white space in them, which the list below cannot hold. */
const first = ['\n', 'is not', 'not in'];

const unspaced =
  'value body left operator right condition name parameters arguments alternative consequence ' +
  'function type argument initializer object key update field scope alias index indices size ' +
  'directive label designator declarator placement attribute subscript superclasses operators ' +
  'module_name definition type_conversion cause source kind declaration module optional_chain ' +
  'constraint finalizer property constructor parameter increment handler member flags operand ' +
  'element package result length start path return_type pattern type_arguments doc outer ' +
  'type_parameters list bounds trait macro inner dimensions superclass array init interfaces ' +
  'qualifier returns expression accessors rank content receiver method block end begin exceptions ' +
  'prefix default_value redirect destination descriptor variable termination trivia [ ] { = } " ( ' +
  ') , > escape_sequence : ; < + - if comment . else identifier * true return == += while >= && ! ' +
  'for binary_expression expression_statement false parenthesized_expression if_statement != break ' +
  '| || string_content for_statement return_statement ? assignment_expression & case ' +
  "break_statement default else_clause ' unary_expression class ++ const call_expression " +
  'argument_list static switch <= while_statement << ... / string try type_identifier ' +
  'field_declaration switch_statement :: new as in try_statement pair program string_literal ' +
  'function_definition update_expression subscript_expression null -> cast_expression ERROR % ' +
  'conditional_expression continue_statement continue import => ` array_type class_declaration ' +
  'catch_clause catch this throw translation_unit primitive_type preproc_include #include ' +
  'pointer_declarator parameter_declaration #define preproc_def number_literal preproc_arg ' +
  'init_declarator condition_clause pointer_expression sized_type_specifier NULL ' +
  'subscript_argument_list array_declarator unsigned system_lib_string #ifndef ' +
  'abstract_pointer_declarator preproc_function_def preproc_params struct_specifier ' +
  'sizeof_expression sizeof type_definition typedef #else preproc_else initializer_list #if ' +
  'preproc_if -- preproc_defined defined case_statement char_literal preproc_call ' +
  'preproc_directive character -= do_statement goto_statement goto statement_identifier ' +
  'labeled_statement parenthesized_declarator |= extern comma_expression preproc_elif #elif ' +
  'enum_specifier enumerator_list enumerator &= *= pointer_type_declarator union_specifier union ' +
  '>>= initializer_pair field_designator namespace_identifier qualified_identifier ' +
  'function_declarator #endif preproc_ifdef type_qualifier storage_class_specifier #ifdef ' +
  'type_descriptor template_argument_list inline reference_declarator typename template_type ' +
  'template operator_name access_specifier dependent_type template_function class_specifier ' +
  'template_declaration template_parameter_list ~ () type_parameter_declaration destructor_name ' +
  'abstract_reference_declarator base_class_clause delete delete_expression virtual ' +
  'optional_parameter_declaration string_start string_end dotted_name def class_definition ' +
  'import_statement keyword_argument comparison_operator import_from_statement default_parameter ' +
  'none tuple binary_operator not is boolean_operator raise_statement raise not_operator and ' +
  'except_clause except pass_statement pass pattern_list elif_clause elif concatenated_string or ' +
  'dictionary slice for_in_clause unary_operator as_pattern as_pattern_target augmented_assignment ' +
  'list_comprehension list_splat assert_statement assert list_splat_pattern with_statement with ' +
  'with_clause with_item relative_import import_prefix delete_statement del ** ' +
  'decorated_definition decorator finally_clause finally keyword_separator generator_expression ' +
  'dictionary_splat dictionary_splat_pattern aliased_import if_clause line_continuation yield ' +
  'lambda global_statement global wildcard_import dictionary_comprehension lambda_parameters ' +
  'positional_separator type_annotation from required_parameter import_clause named_imports ' +
  'import_specifier lexical_declaration export_statement export arrow_function union_type ' +
  'literal_type property_signature undefined object_type template_string void ' +
  'interface_declaration interface interface_body nested_type_identifier async await ' +
  'await_expression function_type object_pattern shorthand_property_identifier_pattern ' +
  'type_alias_declaration namespace_import shorthand_property_identifier readonly of ' +
  'ambient_declaration declare as_expression spread_element ?. optional_parameter unknown any ' +
  'method_signature array_pattern readonly_type type_query parenthesized_type ' +
  'public_field_definition function_signature intersection_type lookup_type index_signature ' +
  'extends_type_clause mapped_type_clause internal_module default_type private_property_identifier ' +
  'extends_clause opting_type_annotation ?: index_type_query keyof never non_null_expression ' +
  'this_type conditional_type string_fragment variable_declarator statement_block ' +
  'property_identifier member_expression number function_declaration ternary_expression === var ' +
  'function_expression !== new_expression template_substitution typeof ?? throw_statement ' +
  'for_in_statement regex regex_pattern switch_body switch_case switch_default method_definition ' +
  'sequence_expression assignment_pattern instanceof export_clause rest_pattern export_specifier ' +
  'augmented_assignment_expression field_definition class_heritage regex_flags empty_statement ' +
  'computed_property_name pair_pattern document source_file package_clause package_identifier ' +
  'expression_list field_identifier int_literal interpreted_string_literal ' +
  'interpreted_string_literal_content func statement_list selector_expression import_spec ' +
  'pointer_type := short_var_declaration import_spec_list qualified_type slice_type ' +
  'type_declaration assignment_statement composite_literal literal_value type_spec nil ' +
  'field_declaration_list struct_type literal_element const_declaration const_spec var_declaration ' +
  'var_spec keyed_element index_expression range_clause slice_expression ' +
  'expression_switch_statement expression_case func_literal defer_statement defer default_case ' +
  'for_clause inc_statement map_type map type_conversion_expression type_assertion_expression ' +
  'var_spec_list rune_literal raw_string_literal raw_string_literal_content variadic_argument ' +
  'interface_type method_elem go_statement go type_switch_statement type_case <- channel_type chan ' +
  'variadic_parameter_declaration use_declaration use self fn // line_comment function_item ' +
  'reference_type generic_type token_tree pub field_expression doc_comment use_wildcard ' +
  'outer_doc_comment_marker attribute_item self_parameter mutable_specifier scoped_use_list ' +
  'use_list where trait_bounds struct type_parameter _ let impl impl_item scoped_type_identifier ' +
  'where_clause where_predicate lifetime struct_item let_declaration match macro_definition ' +
  'macro_rules! macro_rule token_tree_pattern token_binding_pattern metavariable ' +
  'fragment_specifier macro_invocation token_repetition_pattern token_repetition unit_type ' +
  'reference_expression lifetime_parameter match_expression match_block tuple_struct_pattern ident ' +
  'type_item match_arm match_pattern tuple_pattern tuple_type if_expression mod_item mod ' +
  'removed_trait_bound enum unit_expression struct_expression field_initializer_list ' +
  'field_initializer ty ordered_field_declaration_list tuple_expression for_expression ' +
  'inner_doc_comment_marker tt trait_item enum_item enum_variant_list type_cast_expression ' +
  'type_binding bracketed_type let_condition associated_type function_signature_item ' +
  'generic_function range_expression enum_variant closure_expression closure_parameters ' +
  'return_expression >> never_type compound_assignment_expr while_expression use_as_clause ' +
  'const_item array_expression expr ref_pattern ref unsafe_block unsafe bounded_type ' +
  'scoped_identifier block_comment package_declaration modifiers formal_parameters ' +
  'method_declaration @ import_declaration marker_annotation class_body final method_invocation ' +
  'formal_parameter decimal_integer_literal integral_type void_type local_variable_declaration ' +
  'field_access private null_literal int boolean_type constructor_body long throws ' +
  'lambda_expression annotation annotation_argument_list class_literal wildcard array_access char ' +
  'floating_point_type double implements super_interfaces type_list array_initializer type_bound ' +
  'character_literal dimensions_expr enhanced_for_statement super catch_formal_parameter ' +
  'catch_type instanceof_expression byte short float explicit_constructor_invocation ' +
  'decimal_floating_point_literal constant_declaration spread_parameter method_reference abstract ' +
  'compilation_unit qualified_name declaration_list namespace namespace_declaration modifier ' +
  'public using using_directive parameter_list predefined_type member_access_expression ' +
  'invocation_expression variable_declaration string_literal_content object_creation_expression ' +
  'integer_literal base_list local_declaration_statement attribute_list constructor_declaration ' +
  'boolean_literal get accessor_list accessor_declaration property_declaration ' +
  'array_rank_specifier preproc_region #region preproc_endregion #endregion typeof_expression ' +
  'element_access_expression bracketed_argument_list attribute_argument_list attribute_argument ' +
  'override base prefix_unary_expression initializer_expression constructor_initializer protected ' +
  'generic_name type_argument_list set constant_pattern postfix_unary_expression ' +
  'character_literal_content catch_declaration is_pattern_expression internal real_literal ' +
  'switch_section using_statement call integer assignment interpolation binary constant #{ ' +
  'element_reference hash block_parameters block_body method_parameters body_statement if_modifier ' +
  'parenthesized_statements then do operator_assignment range unary simple_symbol scope_resolution ' +
  'elsif .. global_variable next left_assignment_list do_block conditional heredoc_beginning ' +
  'heredoc_body heredoc_content heredoc_end subshell rescue /= hash_key_symbol string_array %w( ' +
  'bare_string delimited_symbol :" splat_argument unless_modifier unless instance_variable <=> ' +
  'while_modifier =~ !~ php_tag namespace_name \\ namespace_definition $ compound_statement ' +
  'visibility_modifier member_call_expression simple_parameter namespace_use_declaration ' +
  'namespace_use_clause extends base_clause array_creation_expression array_element_initializer ' +
  'function_call_expression named_type boolean property_element scoped_call_expression ' +
  'relative_scope class_constant_access_expression encapsed_string unary_op_expression ' +
  'foreach_statement foreach final_modifier throw_expression parent static_modifier const_element ' +
  'class_interface_clause switch_block .= default_statement bool require_once_expression ' +
  'require_once unset_statement scoped_property_access_expression else_if_clause elseif ' +
  'optional_type anonymous_function cast_type variable_name variable_assignment word command ' +
  'command_name simple_expansion fi test_command command_substitution ${ expansion ' +
  'redirected_statement $( file_redirect raw_string concatenation test_operator pipeline ' +
  'special_variable_name declaration_command do_group done >& file_descriptor negated_command ' +
  'heredoc_start heredoc_redirect case_item ;; extglob_pattern esac [[ ]] local unset ' +
  'unset_command ## arithmetic_expansion )) :- stylesheet rule_set selectors property_name ' +
  'plain_value class_name class_selector tag_name # color_value integer_value unit ' +
  'descendant_selector float_value pseudo_class_selector string_value id_selector id_name ' +
  'child_selector function_name universal_selector important attribute_selector attribute_name ' +
  'adjacent_sibling_selector media_statement @media feature_query feature_name keyword_query ' +
  'setting_name text section section_name setting setting_value';

/** Position 0 is the first name. */
export const vocabulary: readonly string[] = [...first, ...unspaced.split(' ')];

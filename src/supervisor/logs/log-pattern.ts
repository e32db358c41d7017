import type { RE2JS } from 're2js';
import { CodekeepError, messageOf } from '../../base/errors.js';

/**
 * A match costs at most (instructions of the pattern) × (characters of the text) steps of some 30 ns, and nothing
 * can be done between two of them. More steps than this (8 ms) are refused: 16,000 characters, the longest entry, leave
 * room for a pattern of 16 instructions, a usual entry of 500 for one of 500; common patterns have 10 to 40.
 */
const matchStepsMax = 256 * 1024;

/** A regular expression that is matched in linear time, whatever the pattern and the text. */
export class LogPattern {
  readonly #regex: RE2JS;

  private constructor(regex: RE2JS) {
    this.#regex = regex;
  }

  /**
   * The syntax is RE2's, and JavaScript's where both say it differently (`\u00e9`, `(?<name>x)`).
   * @throws CodekeepError LOG_VIEW_ERROR for a pattern that is no regular expression, or one that no engine
   *   matches in linear time: lookaround and backreferences
   */
  static async compile(pattern: string): Promise<LogPattern> {
    // Loaded only where somebody searches: it is as large as the rest of the supervisor's own code.
    const { RE2JS } = await import('re2js');
    try {
      return new LogPattern(RE2JS.compile(RE2JS.translateRegExp(pattern)));
    } catch (error) {
      throw new CodekeepError(
        'LOG_VIEW_ERROR',
        `search_pattern cannot be used: ${messageOf(error)}.`,
        'Mend the pattern, or escape its special characters. Lookahead, lookbehind and backreferences are not ' +
          'known here; filter by log_levels and time, or search for a part of it.',
      );
    }
  }

  /** @throws CodekeepError LOG_VIEW_ERROR where the pattern is too large for a text of this length */
  matches(text: string): boolean {
    if (this.#regex.programSize() * text.length > matchStepsMax) throw tooLarge(text.length);
    return this.#regex.matcher(text).find();
  }
}

function tooLarge(chars: number): CodekeepError {
  return new CodekeepError(
    'LOG_VIEW_ERROR',
    `search_pattern is too large to be looked for in an entry of ${chars} characters.`,
    'Leave out counted repetitions such as {1,500}, search for a plain word, or narrow the time.',
  );
}

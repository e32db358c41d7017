import { isSameStamp, stampOf } from '../../base/stamp.js';
import type { IndexingContext } from '../../reconcile/index-paths.js';
import { type FileRow, linkedFiles } from '../../store/files.js';

/** So many are looked at each time; a reconcile looks at all. */
const linkedMax = 1_000;

/**
 * Files with more names than one. A change through a name that lies elsewhere sends no event here, so they are looked at
 * by themselves.
 */
export class LinkedFiles {
  readonly #context: IndexingContext;
  #rows: readonly FileRow[] = [];

  constructor(context: IndexingContext) {
    this.#context = context;
  }

  get count(): number {
    return this.#rows.length;
  }

  /** Reads again which they are. */
  refresh(): void {
    const { index, project } = this.#context;
    this.#rows = linkedFiles(index, project.id, linkedMax);
  }

  /** Paths of those that are not as they were indexed. */
  changed(): string[] {
    const { rootDir } = this.#context.project;
    const changed = this.#rows.filter((row) => {
      const stamp = stampOf(`${rootDir}/${row.path}`);
      return stamp === null || !isSameStamp(stamp, row);
    });
    if (changed.length > 0) this.refresh();
    return changed.map(({ path }) => path);
  }
}

import type { ProjectFreshness } from '../base/ipc.js';
import type { EventSink } from './subscriptions.js';

/** How true each project is, as the watcher last said; empty while no watcher runs. */
export class FreshnessBoard {
  readonly #projects = new Map<string, ProjectFreshness>();
  readonly #events: EventSink;

  constructor(events: EventSink) {
    this.#events = events;
  }

  /** Watchers say it again and again; subscribers hear what has changed. */
  note(project: ProjectFreshness): void {
    const before = this.#projects.get(project.projectId);
    this.#projects.set(project.projectId, project);
    const isSame =
      before?.freshness === project.freshness &&
      before.pending === project.pending &&
      before.reason === project.reason;
    if (!isSame) this.#publish(project);
  }

  /** No watcher runs any more: nothing is known. */
  clear(): void {
    const known = [...this.#projects.values()];
    this.#projects.clear();
    for (const project of known)
      this.#publish({ ...project, freshness: 'unknown', pending: 0, reason: 'no watcher runs' });
  }

  /** By project id, for index_service. */
  asRecord(): Record<string, ProjectFreshness> {
    return Object.fromEntries(this.#projects);
  }

  #publish({ projectId, freshness, pending, reason }: ProjectFreshness): void {
    this.#events.publish('index', () => ({
      topic: 'index',
      type: 'freshness',
      project_id: projectId,
      freshness,
      pending,
      reason,
    }));
  }
}

import type { ProjectFreshness } from '../base/ipc.js';
import type { EventSink } from './subscriptions.js';

/**
 * How true each project is, as the watcher last said; empty while no watcher runs. What it called fresh is unknown
 * while it does not answer: no event of it means nothing then.
 */
export class FreshnessBoard {
  /** As the watcher last said. */
  readonly #projects = new Map<string, ProjectFreshness>();
  /** For how long the watcher has not answered. */
  #silentMs = 0;
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

  /** For how long the watcher has not answered (ms). */
  get silentMs(): number {
    return this.#silentMs;
  }

  /** Projects were added or removed: the watcher says which there are. */
  forget(): void {
    this.#projects.clear();
  }

  /** What a watcher said of a project before it heard that this is gone comes late. */
  retain(projectIds: readonly string[]): void {
    const kept = new Set(projectIds);
    for (const id of this.#projects.keys()) if (!kept.has(id)) this.#projects.delete(id);
  }

  noteSilence(silentMs: number): void {
    const isNews = silentMs > 0 !== this.#silentMs > 0;
    this.#silentMs = silentMs;
    if (!isNews) return;
    for (const project of this.#projects.values()) if (project.freshness === 'fresh') this.#publish(project);
  }

  /** No watcher runs any more: nothing is known of what it watched. */
  noteEnd(): void {
    this.#silentMs = 0;
    for (const project of this.#projects.values())
      this.note({ ...project, freshness: 'unknown', pending: 0, reason: 'file_watcher is not running' });
  }

  /** By project id, for index_service. */
  asRecord(): Record<string, ProjectFreshness> {
    return Object.fromEntries([...this.#projects].map(([id, project]) => [id, this.#judge(project)]));
  }

  isFresh(projectId: string): boolean {
    const project = this.#projects.get(projectId);
    return project !== undefined && this.#judge(project).freshness === 'fresh';
  }

  /** Projects of which nothing is known, or that are not safe, for health. */
  troubled(): ProjectFreshness[] {
    return [...this.#projects.values()]
      .map((project) => this.#judge(project))
      .filter(({ freshness, withoutCopy, owed }) => freshness === 'unknown' || withoutCopy + owed > 0);
  }

  #judge(project: ProjectFreshness): ProjectFreshness {
    const { freshness, reason, polledAt } = project;
    if (this.#silentMs > 0 && freshness === 'fresh') {
      const silence = `file_watcher has not answered for ${Math.round(this.#silentMs / 1_000)} s`;
      return { ...project, freshness: 'unknown', reason: silence };
    }
    if (polledAt === null || freshness !== 'stale') return project;
    const seconds = Math.ceil(Math.max(Date.now() - polledAt, 0) / 1_000);
    return { ...project, reason: `${reason}; what is known of polled folders is ${seconds} s old at most` };
  }

  #publish(project: ProjectFreshness): void {
    const { projectId, freshness, pending, reason } = this.#judge(project);
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

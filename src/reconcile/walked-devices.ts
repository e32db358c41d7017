import { identityOf, type Mount, readMounts } from '../base/mounts.js';
import { isWithin } from '../base/paths.js';

export interface WalkedDevice {
  identity: string;
  /** Where it was met first, relative to the root. */
  folder: string;
  dev: string;
}

/** The file systems that the folders of a project lie on, as the mounts are when it is made. Each is identified once. */
export class WalkedDevices {
  /** By their identity, see base/mounts.ts. */
  readonly known = new Map<string, WalkedDevice>();
  readonly #root: string;
  readonly #mounts: readonly Mount[] = readMounts();
  /** Absolute, below the root or the root itself. */
  readonly #mountPoints: ReadonlySet<string>;
  /** Of a folder without a mount point between it and the root. */
  #usual: WalkedDevice | null = null;

  constructor(root: string) {
    this.#root = root;
    const points = this.#mounts.map(({ mountPoint }) => mountPoint);
    this.#mountPoints = new Set(points.filter((point) => isWithin(root, point)));
  }

  /**
   * @param path relative to the root
   * @param above what the folder above lies on; null where that is not known
   */
  of(path: string, dev: string, above: WalkedDevice | null): WalkedDevice {
    const absolute = path === '' ? this.#root : `${this.#root}/${path}`;
    const isUsual = above === null && !this.#isBelowMount(absolute);
    const near = isUsual ? this.#usual : above;
    if (near?.dev === dev && !this.#mountPoints.has(absolute)) return near;
    const device = this.#identified(absolute, path, dev);
    if (isUsual) this.#usual = device;
    return device;
  }

  #isBelowMount(absolute: string): boolean {
    return [...this.#mountPoints].some((point) => point !== this.#root && isWithin(point, absolute));
  }

  #identified(absolute: string, folder: string, dev: string): WalkedDevice {
    const identity = identityOf(absolute, this.#mounts);
    const known = this.known.get(identity);
    if (known?.dev === dev) return known;
    const device = { identity, folder, dev };
    if (known === undefined) this.known.set(identity, device);
    return device;
  }
}

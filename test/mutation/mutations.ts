/** What each protects is taken out of the program, one at a time: some test has to fail for it. */
export interface Mutation {
  /** What the program would do. */
  what: string;
  /** Relative to src. */
  file: string;
  /** Stands exactly once in the file. */
  find: string;
  replace: string;
  /** The tests that are to see it, relative to dist-test. */
  tests: readonly string[];
}

export const mutations: readonly Mutation[] = [
  {
    what: 'a placed file is not made durable',
    file: 'base/place-exclusively.ts',
    find: `    await giveAttributes(file, attributes);
    await file.sync();
    const stats`,
    replace: `    await giveAttributes(file, attributes);
    const stats`,
    tests: ['fault/power-loss.fault.js'],
  },
  {
    what: 'the names of placed files are not made durable',
    file: 'base/file-placer.ts',
    find: 'await Promise.all(touched.map((folder) => folder.sync()));',
    replace: 'await Promise.resolve(touched);',
    tests: ['fault/power-loss.fault.js'],
  },
  {
    what: 'a commit does not survive a power loss',
    file: 'store/index-database.ts',
    find: "db.pragma('synchronous = FULL')",
    replace: "db.pragma('synchronous = OFF')",
    tests: ['fault/power-loss.fault.js'],
  },
  {
    what: 'a file takes the place of whatever is there',
    file: 'base/place-exclusively.ts',
    find: '    linkSync(from, to);\n    return true;',
    replace: '    unlinkIfThere(to);\n    linkSync(from, to);\n    return true;',
    tests: ['base/place-exclusively.test.js', 'base/file-placer.test.js'],
  },
  {
    what: 'what cannot be looked at counts as absent',
    file: 'reconcile/repair/plan.ts',
    find: `      return judgeAbsent(fact, context);
    default:`,
    replace: `      return judgeAbsent(fact, context);
    default:
      if (context.rootDoubt === null) return judgeAbsent(fact, context);`,
    tests: ['reconcile/repair-plan.test.js'],
  },
  {
    what: 'a stored tree is believed without its hash',
    file: 'store/contents.ts',
    find: `if (sha256(bytes) !== hash)
      return { problem: 'its stored tree`,
    replace: `if (hash.length !== 64)
      return { problem: 'its stored tree`,
    tests: ['store/contents.test.js'],
  },
  {
    what: 'what a difference gives is believed without its hash',
    file: 'store/contents.ts',
    find: `if (sha256(bytes) !== hash)
      return { problem: 'its stored difference`,
    replace: `if (hash.length !== 64)
      return { problem: 'its stored difference`,
    tests: ['store/packing.test.js'],
  },
  {
    what: 'what others are a difference to goes with its own state',
    file: 'store/revisions.ts',
    find: "['files WHERE sha256', 'revisions WHERE sha256', 'contents WHERE base']",
    replace: "['files WHERE sha256', 'revisions WHERE sha256']",
    tests: ['store/packing.test.js'],
  },
  {
    what: 'what changes after the clock was set back is part of an earlier checkpoint',
    file: 'store/revisions.ts',
    find: 'before.seenAt + 1, afterCheckpoints(index, before.projectId));',
    replace: 'before.seenAt + 1);',
    tests: ['store/revisions.test.js'],
  },
  {
    what: 'bytes are placed without their hash',
    file: 'base/place-exclusively.ts',
    find: "if (sha256(bytes) !== hash) throw new Error('the bytes",
    replace: "if (hash.length !== 64) throw new Error('the bytes",
    tests: ['base/file-placer.test.js', 'base/place-exclusively.test.js'],
  },
  {
    what: 'a dry run is not handed down, and repairs',
    file: 'supervisor/repair-command.ts',
    find: 'if (params.dry_run) return await this.#dryRun(scope, work);',
    replace: 'if (params.dry_run && params.force) return await this.#dryRun(scope, work);',
    tests: ['acceptance/repair.test.js'],
  },
  {
    what: 'a recovery plans anew',
    file: 'workers/repair/task.ts',
    find: "if (request.origin === 'recovery') return",
    replace: "if (request.origin === 'recovery' && request.force) return",
    tests: ['acceptance/repair-cut-off.test.js'],
  },
  {
    what: 'a kept plan is executed although it is not what there is to do any more',
    file: 'workers/repair/same-plan.ts',
    find: '  if (changed.length === 0) return;\n',
    replace: '  if (changed.length >= 0) return;\n',
    tests: ['acceptance/kept-plan.test.js'],
  },
  {
    what: 'an undo takes away what was changed since',
    file: 'reconcile/repair/undo-plan.ts',
    find: "      return keep('it was changed since');",
    replace: "      return { verdict: 'remove' };",
    tests: ['reconcile/undo-plan.test.js', 'reconcile/undo.test.js'],
  },
  {
    what: 'an undo that was cut off leaves aside what it had taken',
    file: 'reconcile/repair/recover.ts',
    find: '  await putBackTaken(options, project, rows);\n',
    replace: '',
    tests: ['reconcile/kill-points.test.js'],
  },
  {
    what: 'a root that is another folder is believed',
    file: 'reconcile/project-root.ts',
    find: '  const isMass = missing > brakeFilesMin && missing > active * brakeShare;',
    replace: '  const isMass = missing > brakeFilesMin && missing > active;',
    tests: [
      'acceptance/accept-deletions.test.js',
      'reconcile/losses.test.js',
      'acceptance/repair-worker.test.js',
    ],
  },
  {
    what: 'contents of a damaged index are carried over without proof',
    file: 'store/salvage/salvage.ts',
    find: "return isProven(tree, hash) ? 'own' : null;",
    replace: "return isProven(tree, hash) ? 'own' : 'with_base';",
    tests: ['store/salvage.test.js'],
  },
  {
    what: 'pages that nothing leads to are not looked at',
    file: 'store/salvage/salvage.ts',
    find: '      this.#takeOrphans(file, type, number, orphans);',
    replace: '      orphans.splice(0);',
    tests: ['store/salvage.test.js'],
  },
  {
    what: 'the log is believed up to its first damaged frame only',
    file: 'store/salvage/log-frames.ts',
    find: '      if (!isUnproven) found.damaged += 1;\n      continue;',
    replace: '      if (!isUnproven) found.damaged += 1;\n      break;',
    tests: ['store/salvage.test.js'],
  },
  {
    what: 'a damaged index is thrown away when a new one takes its place',
    file: 'store/replace-index.ts',
    find: '  if (isThere) await link(indexPath, kept);\n',
    replace: '',
    tests: ['acceptance/rebuild.test.js'],
  },
  {
    what: 'a new index that was whole when its maker was killed is thrown away with the log of the old one',
    file: 'store/replace-index.ts',
    find: 'if (existsSync(readyOf(indexPath))) await takePlace(indexPath, Date.now());',
    replace: 'if (existsSync(readyOf(indexPath))) await unlink(readyOf(indexPath));',
    tests: ['reconcile/kill-points.test.js'],
  },
  {
    what: 'a row is written without what it relies on',
    file: 'reconcile/index-batch.ts',
    find: 'const number = derived === null ? null : await storeDocuments(derived, searchable, signal);',
    replace: 'const number = derived === null ? null : 0;',
    tests: ['reconcile/derived.test.js'],
  },
  {
    what: 'rows rely on an older copy of the derived database',
    file: 'store/derived/derived-database.ts',
    find: 'const isSame = relied.token === token && relied.number <= number;',
    replace: 'const isSame = relied.token === token;',
    tests: ['store/derived/derived-database.test.js', 'reconcile/derived.test.js'],
  },
  {
    what: 'search answers with files that have another content by now',
    file: 'store/active-contents.ts',
    find: 'language IS ?\n         AND ${isActiveFile} ORDER BY path LIMIT ?',
    replace: 'language IS ?\n         ORDER BY path LIMIT ?',
    tests: ['search/search.test.js', 'acceptance/derived.test.js'],
  },
  {
    what: 'a full disk is taken for damage',
    file: 'store/sqlite-errors.ts',
    find: "sqliteCode(error).startsWith('SQLITE_CORRUPT') ||",
    replace: "sqliteCode(error).startsWith('SQLITE_CORRUPT') || sqliteCode(error) === 'SQLITE_FULL' ||",
    tests: ['store/index-database.test.js', 'acceptance/disk-trouble.test.js'],
  },
  {
    what: 'a content that the scrub finds damaged is left so',
    file: 'reconcile/heal.ts',
    find: '      healContent(index, content, Date.now());\n',
    replace: '',
    tests: ['workers/repair/scrub.test.js'],
  },
  {
    what: 'a backup is not checked before it has its name',
    file: 'store/backups.ts',
    find: '    return (await copied).problems;',
    replace: '    await copied;\n    return [];',
    tests: ['store/backup.test.js'],
  },
  {
    what: 'a project is moved to a folder that has nothing of it',
    file: 'reconcile/move-project.ts',
    find: '  if (present < total * presentShareMin)\n    throw',
    replace: '  if (present > total)\n    throw',
    tests: ['acceptance/move-project.test.js'],
  },
  {
    what: 'what an undo has removed is not made durable',
    file: 'reconcile/repair/removals.ts',
    find: '    await folder?.sync();\n',
    replace: '',
    tests: ['fault/power-loss.fault.js'],
  },
  {
    what: 'a table of a damaged index that is gone as a whole counts as an empty one',
    file: 'store/salvage/salvage.ts',
    find: 'for (const { name } of this.#shapes) if (owners.rootOf(name) === null) this.#note(name, 1);',
    replace: '',
    tests: ['acceptance/rebuild.test.js'],
  },
  {
    what: 'a repair that is cut off before it has a plan is forgotten',
    file: 'supervisor/repair-command.ts',
    find: 'this.#cutOff = this.#asked.read()?.scope ?? null;',
    replace: 'this.#cutOff = null;',
    tests: ['acceptance/repair-cut-off.test.js'],
  },
  {
    what: 'the workers of a supervisor whose lock was removed are ended as leftovers',
    file: 'supervisor/lifecycle/fleet.ts',
    find: '    assertNoneRuns(this.#recordPath);\n',
    replace: '',
    tests: ['acceptance/start.test.js'],
  },
  {
    what: 'a content that somebody could not be given still counts as restorable',
    file: 'store/contents.ts',
    find: "  if ('problem' in rendering) index.foundDamaged({ sha256: hash, problem: rendering.problem });\n",
    replace: '',
    tests: ['workers/repair/scrub.test.js'],
  },
  {
    what: 'what git said is believed, whatever has changed since',
    file: 'reconcile/git-state.ts',
    find: 'if (known?.stamps === stamps) return known.answer;',
    replace: 'if (known !== undefined) return known.answer;',
    tests: ['acceptance/start.test.js', 'reconcile/git-state.test.js'],
  },
  {
    what: 'an index that cannot be looked at is changed without a backup',
    file: 'store/index-database.ts',
    find: '      if (isCorrupt(error)) return false;\n      throw error;\n    } finally {\n      db?.close();',
    replace: '      return false;\n    } finally {\n      db?.close();',
    tests: ['reconcile/kill-points.test.js'],
  },
  {
    what: 'folders without a watch are not polled',
    file: 'workers/file-watcher/tree-watch.ts',
    find: 'if (this.#unwatched.has(folder) || this.#eventlessOn(dev, folder) !== null)',
    replace: 'if (this.#eventlessOn(dev, folder) !== null)',
    tests: ['acceptance/polled-folders.test.js'],
  },
  {
    what: 'what a thread has listed is taken for the next folder, whichever that is',
    file: 'reconcile/folders-ahead.ts',
    find: 'if (folder === path) return entered;',
    replace: 'return entered;',
    tests: ['reconcile/walk.test.js'],
  },
  {
    what: 'a burst of saves takes along what a checkpoint is of',
    file: 'store/revisions.ts',
    find: '  if (checkpointAt !== null && checkpointAt >= seenAt) return false;\n',
    replace: '',
    tests: ['store/revisions.test.js'],
  },
  {
    what: 'a content that passes leaves, whoever else has it',
    file: 'store/revisions.ts',
    find: "['files WHERE sha256', 'revisions WHERE sha256', 'contents WHERE base']",
    replace: "['files WHERE sha256', 'contents WHERE base']",
    tests: ['store/revisions.test.js'],
  },
  {
    what: 'a rewind takes the place of what was written since it was planned',
    file: 'reconcile/repair/rewind-plan.ts',
    find: '  if (!fact.isAsIndexed) return conflict(changedSince);\n',
    replace: '',
    tests: ['reconcile/rewind.test.js', 'reconcile/rewind-plan.test.js'],
  },
  {
    what: 'an undo of a rewind takes along what was changed since',
    file: 'reconcile/repair/rewind.ts',
    find: 'if (now === undefined || made?.seenAt !== seenAtOf(action) || !isAlike(now, made))',
    replace: 'if (now === undefined || made === undefined)',
    tests: ['reconcile/rewind.test.js'],
  },
  {
    what: 'what was purged stays in free pages',
    file: 'store/purge-copies.ts',
    find: "longStep(() => index.db.prepare('VACUUM INTO ?').run(clean));",
    replace: 'await index.db.backup(clean);',
    tests: ['workers/repair/purge.test.js'],
  },
  {
    what: 'a state that was purged is taken for none',
    file: 'store/purging.ts',
    find: `         purged_at = ? WHERE id = ?\`,
    )
    .run(now, id);`,
    replace: `         purged_at = ? WHERE id = ?\`,
    )
    .run(now, id);
  index.sql('DELETE FROM revisions WHERE id = ?').run(id);`,
    tests: ['workers/repair/purge.test.js', 'acceptance/purge.test.js'],
  },
  {
    what: 'rows go that name a copy which could not be removed',
    file: 'workers/repair/purge.ts',
    find: 'if (problem !== null) throw cannotRemove(problem);',
    replace: '',
    tests: ['workers/repair/purge.test.js'],
  },
  {
    what: 'what is purged stays where later states are stored as the difference to it',
    file: 'store/purging.ts',
    find: '  for (const sha256 of packed) if (isHad(index, sha256)) storeWhole(index, sha256, now);\n',
    replace: '',
    tests: ['workers/repair/purge.test.js'],
  },
];

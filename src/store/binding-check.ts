import Database from 'better-sqlite3';

/**
 * A program of its own: loads SQLite's binding and prints which SQLite it brings. A binding that was compiled for
 * another Node may crash the process that loads it, so whoever wants to know asks this one.
 */
const db = new Database(':memory:');
const version = db.prepare<[], string>('SELECT sqlite_version()').pluck().get();
db.close();
process.stdout.write(`${version}\n`);

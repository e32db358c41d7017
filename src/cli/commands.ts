import type { Command } from 'commander';
import { addCheckpoint } from './checkpoint.js';
import { type CommonFlags, parseJson, withClient } from './client-command.js';
import { addDatabaseCommands } from './database-commands.js';
import { addDeleted } from './deleted.js';
import { addDiff } from './diff.js';
import { addDoctor } from './doctor.js';
import { addForget } from './forget.js';
import { addHistory } from './history.js';
import { addServiceCommands } from './install.js';
import { addJobCommands } from './job-commands.js';
import { addLogs } from './logs.js';
import { printJson } from './output.js';
import { addProjectCommands } from './project-commands.js';
import { addPurge } from './purge.js';
import { addRebuild } from './rebuild.js';
import { addRepair } from './repair.js';
import { addRestore } from './restore.js';
import { addRewind } from './rewind.js';
import { addUndo } from './undo.js';
import { addSearch } from './search.js';
import { addStatus } from './status.js';
import { addStop } from './stop.js';
import { addWorkerCommands } from './worker-commands.js';

/** Adds every command that is a client of the socket, in the order in which --help shows them. */
export function addClientCommands(program: Command): void {
  addStatus(program);
  addStop(program);
  addProjectCommands(program);
  addSearch(program);
  addDeleted(program);
  addRestore(program);
  addHistory(program);
  addDiff(program);
  addCheckpoint(program);
  addRewind(program);
  addRepair(program);
  addUndo(program);
  addRebuild(program);
  addForget(program);
  addPurge(program);
  addDatabaseCommands(program);
  addWorkerCommands(program);
  addJobCommands(program);
  addLogs(program);
  addDoctor(program);
  addServiceCommands(program);
  addCall(program);
}

function addCall(program: Command): void {
  program
    .command('call')
    .description('Call any method; prints its result as JSON')
    .argument('<method>', 'for instance health; rpc.discover lists them all')
    .argument('[params]', 'a JSON object or array', parseJson)
    .action(async (method: string, params: unknown, flags: CommonFlags) => {
      await withClient({ ...flags, json: true }, (client) => client.callAny(method, params), printJson);
    });
}

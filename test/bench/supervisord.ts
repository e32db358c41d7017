import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep } from '#src/base/waiting.js';

/** supervisord as a peer: the same number of processes, a Unix socket, its own XML-RPC. */

const call =
  '<?xml version="1.0"?><methodCall><methodName>supervisor.getState</methodName><params/></methodCall>';
const headers = { 'Content-Type': 'text/xml', 'Content-Length': String(Buffer.byteLength(call)) };

export function isInstalled(): boolean {
  try {
    execFileSync('supervisord', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export class Supervisord {
  readonly firstAnswerMs: number;
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #socket: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  private constructor(child: ChildProcess, folder: string, firstAnswerMs: number) {
    this.#child = child;
    this.#folder = folder;
    this.#socket = join(folder, 's.sock');
    this.firstAnswerMs = firstAnswerMs;
  }

  /** With as many Node processes as codekeep has workers. */
  static async start(processes: number): Promise<Supervisord> {
    const folder = mkdtempSync(join(tmpdir(), 'codekeep-bench-peer-'));
    const programs = Array.from(
      { length: processes },
      (_, number) =>
        `[program:w${number}]\ncommand=${process.execPath} -e "setInterval(Object, 1000)"\nstartsecs=0\n`,
    );
    const config = `[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=${folder}/pid
childlogdir=${folder}
[unix_http_server]
file=${folder}/s.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
${programs.join('')}`;
    writeFileSync(join(folder, 'c.conf'), config);
    const startedAt = performance.now();
    const child = spawn('supervisord', ['-c', join(folder, 'c.conf')], { stdio: 'ignore' });
    const peer = new Supervisord(child, folder, 0);
    while (!existsSync(join(folder, 's.sock'))) {
      if (child.exitCode !== null) throw new Error(`supervisord ended with ${child.exitCode}`);
      await sleep(2);
    }
    await peer.ask();
    return Object.assign(peer, { firstAnswerMs: performance.now() - startedAt });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** One call over the connection that is kept. */
  async ask(): Promise<void> {
    const sent = request({
      socketPath: this.#socket,
      path: '/RPC2',
      method: 'POST',
      headers,
      agent: this.#agent,
    });
    sent.end(call);
    const [response] = (await once(sent, 'response')) as [AsyncIterable<Buffer>];
    for await (const _ of response);
  }

  /** Calls per second on one connection, all sent before the first reply is read. */
  async pipelined(count: number): Promise<number> {
    const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const text = `POST /RPC2 HTTP/1.1\r\nHost: localhost\r\n${head.join('')}\r\n${call}`;
    const socket = connect(this.#socket);
    await once(socket, 'connect');
    const startedAt = performance.now();
    socket.write(text.repeat(count));
    let answered = 0;
    for await (const chunk of socket) {
      answered += (chunk as Buffer).toString('latin1').split('</methodResponse>').length - 1;
      if (answered >= count) break;
    }
    socket.destroy();
    return answered < count ? Number.NaN : count / ((performance.now() - startedAt) / 1_000);
  }

  /** Ends it with all its processes; gives how long that took (ms). */
  async stop(): Promise<number> {
    this.#agent.destroy();
    const startedAt = performance.now();
    this.#child.kill('SIGTERM');
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
    const took = performance.now() - startedAt;
    rmSync(this.#folder, { recursive: true });
    return took;
  }
}

/** Who listens on a TCP port of this machine, as far as the system tells us. Linux only; elsewhere nobody is named. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** `nginx (process 1234)`; undefined when nobody is found, or the process is somebody else's. */
export function findPortHolder(port: number): string | undefined {
  const inodes = new Set(
    ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listeningInodes(table, port)),
  );
  if (inodes.size === 0) return undefined;
  for (const pid of list('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const descriptor of list(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(
        attempt(() => readlinkSync(`/proc/${pid}/fd/${descriptor}`)) ?? '',
      )?.[1];
      if (inode === undefined || !inodes.has(inode)) continue;
      const name = attempt(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trim());
      return `${name ?? 'a program'} (process ${pid})`;
    }
  }
  return undefined;
}

/** Columns of proc_net_tcp(5): slot, local address, remote address, state (0A listens), ..., inode. */
function listeningInodes(table: string, port: number): string[] {
  const ending = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return (attempt(() => readFileSync(table, 'utf8')) ?? '')
    .split('\n')
    .map((row) => row.trim().split(/\s+/))
    .filter((columns) => columns[1]?.endsWith(ending) && columns[3] === '0A')
    .map((columns) => columns[9]!);
}

function list(directory: string): string[] {
  return attempt(() => readdirSync(directory)) ?? [];
}

/** Processes end while we look, and others are not ours to see. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

// The same on the command line.

/** A command of `tidings`, its words quoted where a shell wants it; those that are false are left out. */
export function command(...words: (string | false)[]): string {
  return ['tidings', ...words.filter((word) => word !== false)].map(quoted).join(' ');
}

const quoted = (word: string) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** JSON.parse keeps the last of two equal keys and tells nobody. */

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:]/g;

/**
 * @param json text that JSON.parse accepts
 * @returns the first key that an object holds twice
 */
export function duplicateKey(json: string): string | undefined {
  const objects: (Set<string> | undefined)[] = [];
  let string = '';
  for (const [token] of json.matchAll(TOKEN)) {
    switch (token) {
      case '{':
        objects.push(new Set());
        break;
      case '[':
        objects.push(undefined);
        break;
      case '}':
      case ']':
        objects.pop();
        break;
      case ':': {
        const keys = objects.at(-1);
        const key = JSON.parse(string) as string;
        if (keys?.has(key)) return key;
        keys?.add(key);
        break;
      }
      default:
        string = token;
    }
  }
  return undefined;
}

/** Ways in which bytes could stand in a text: as they are, escaped, in hex, in base64 at any offset. */
export function formsOf(bytes: Buffer): string[] {
  const text = bytes.toString('latin1').trim();
  const base64 = [0, 1, 2].map((shift) => bytes.subarray(shift).toString('base64').replaceAll('=', '').slice(0, -2));
  const url = base64.map((each) => each.replaceAll('+', '-').replaceAll('/', '_'));
  const list = JSON.stringify([...bytes]).slice(1, -1);
  const hex = bytes.toString('hex');
  return [text, encodeURIComponent(text), ...base64, ...url, list, hex, hex.toUpperCase()];
}

/** `JSON.rawJSON`, which TypeScript's library does not know yet: text that is put out as it is. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/**
 * JSON with every digit of a bigint: sizes and offsets may be past what a number holds exactly. As QEMU does, it escapes
 * what a terminal might obey.
 */
export function toJson(value: unknown, indent?: number): string {
  const text = JSON.stringify(
    value,
    (_, each: unknown) => (typeof each === 'bigint' ? rawJSON(each.toString()) : each),
    indent,
  );
  return text.replaceAll(
    /[\u007f-\u009f\u2028\u2029]/g,
    (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

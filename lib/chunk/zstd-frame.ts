/** Where a frame lies in the bytes that hold it, `[start, end)`. */
export interface ZstdFrame {
  readonly start: number;
  /** The end of the bytes, if they end before the frame does, or if this is no frame: the decoder says which. */
  readonly end: number;
  /** Whether its last block and its checksum are there. */
  readonly isWhole: boolean;
  /** What the frame says it decompresses to. */
  readonly contentSize: number | undefined;
}

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
/** Bytes of the content size field by the descriptor's top two bits; without the single-segment flag, 0 means none. */
const CONTENT_SIZE_BYTES = [1, 2, 4, 8] as const;
const DICTIONARY_BYTES = [0, 1, 2, 4] as const;

/**
 * Finds the next frame, past the skippable ones before it, by its headers alone. What a header says is not judged here.
 *
 * @returns `undefined` if a skippable frame leaves nothing of the bytes.
 * @see RFC 8878 § 3.1
 */
export function findFrame(bytes: Uint8Array, from: number): ZstdFrame | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = skipSkippable(view, from);
  if (start >= bytes.length && start > from) return undefined;
  const header = readHeader(view, start);
  const end = header && endOfBlocks(view, header);
  const isWhole = end !== undefined && end <= bytes.length;
  return { start, end: isWhole ? end : bytes.length, isWhole, contentSize: header?.contentSize };
}

function skipSkippable(view: DataView, from: number): number {
  let at = from;
  while (at + 8 <= view.byteLength && (view.getUint32(at, true) & ~0xf) === SKIPPABLE_MAGIC) {
    at += 8 + view.getUint32(at + 4, true);
  }
  return at;
}

interface FrameHeader {
  readonly firstBlock: number;
  readonly contentSize: number | undefined;
  readonly checksumBytes: number;
}

/** RFC 8878 § 3.1.1.1: the descriptor, then a window descriptor, dictionary id and content size, each of which may be absent. */
function readHeader(view: DataView, start: number): FrameHeader | undefined {
  if (start + 5 > view.byteLength || view.getUint32(start, true) !== MAGIC) return undefined;
  const descriptor = view.getUint8(start + 4);
  const singleSegment = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 && !singleSegment ? 0 : (CONTENT_SIZE_BYTES[sizeFlag] ?? 0);
  const sizeAt = start + 5 + (singleSegment ? 0 : 1) + (DICTIONARY_BYTES[descriptor & 3] ?? 0);
  const firstBlock = sizeAt + sizeBytes;
  if (firstBlock > view.byteLength) return undefined;
  return { firstBlock, contentSize: contentSizeAt(view, sizeAt, sizeBytes), checksumBytes: descriptor & 4 };
}

function contentSizeAt(view: DataView, at: number, length: number): number | undefined {
  if (length === 1) return view.getUint8(at);
  if (length === 2) return view.getUint16(at, true) + 256;
  if (length === 4) return view.getUint32(at, true);
  return length === 8 ? Number(view.getBigUint64(at, true)) : undefined;
}

/** RFC 8878 § 3.1.1.2: bit 0 marks the last block, bits 1–2 are its type, the rest its size; a run stores one byte. */
function endOfBlocks(view: DataView, { firstBlock, checksumBytes }: FrameHeader): number | undefined {
  for (let at = firstBlock; at + 3 <= view.byteLength; ) {
    const block = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    const isRun = ((block >> 1) & 3) === 1;
    at += 3 + (isRun ? 1 : block >> 3);
    if (block & 1) return at + checksumBytes;
  }
  return undefined;
}

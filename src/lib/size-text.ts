/** Sizes as people read them. Pure. */

/** `12`, `1.5K`, `20M`. Pure. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  for (const unit of ['', 'K', 'M', 'G', 'T']) {
    if (value < 1024 || unit === 'T') {
      return `${unit === '' || value >= 10 ? Math.round(value) : value.toFixed(1)}${unit}`;
    }
    value /= 1024;
  }
  return String(bytes);
}

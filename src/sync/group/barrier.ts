/**
 * The table of a director (native-notes/design.md, section 10, Fig 5B): which
 * key each director showed last. A synchronisation point is passed when every
 * selected director's row shows the point's key, and failed as soon as one
 * shows a different one; both are judged from the local table alone.
 *
 * What must hold: a row only moves forward. Messages may come late, twice and
 * out of order, and a restarted director must not pass for its predecessor; so
 * a row carries the director's incarnation and a sequence number.
 */

/**
 * A run of a director, from start to end: no two have the same number, and later runs have higher
 * numbers.
 */
export type Incarnation = number;

export interface Row {
  incarnation: Incarnation;
  /** Sequence number of the sender's messages in this incarnation. */
  sequence: number;
  key: string;
}

/** The directors of a point, each with the incarnation that was asked. */
export type Selected = ReadonlyMap<string, Incarnation>;

export class BarrierTable {
  readonly #rows = new Map<string, Row>();

  /** Stores a row that is newer than the present one; false when it is not. */
  update(director: string, row: Row): boolean {
    const known = this.#rows.get(director);
    if (known !== undefined) {
      if (row.incarnation < known.incarnation) return false;
      if (row.incarnation === known.incarnation && row.sequence <= known.sequence) return false;
    }
    this.#rows.set(director, row);
    return true;
  }

  /** True when every selected director, in the incarnation that was asked, shows the key. */
  isComplete(selected: Selected, key: string): boolean {
    return this.missing(selected, key).length === 0;
  }

  /** The directors that do not show the key. */
  missing(selected: Selected, key: string): string[] {
    return [...selected]
      .filter(([director, incarnation]) => {
        const row = this.#rows.get(director);
        return row?.key !== key || row.incarnation !== incarnation;
      })
      .map(([director]) => director);
  }
}

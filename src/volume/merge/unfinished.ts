/** A merge that was cut off: its layer is of no use to anybody, and becomes garbage. */
import type { Catalog } from '../catalog.js';
import type { LayerTree } from '../lineage.js';

export function dropUnfinished(catalog: Catalog, layers: LayerTree): void {
  const number = catalog.merging;
  if (number === undefined) return;
  if (layers.has(number)) {
    const layer = layers.get(number);
    if (layer.state === 'staging') {
      layer.state = 'sealed';
      catalog.putLayer(layer);
    }
  }
  catalog.putMerging(undefined);
}

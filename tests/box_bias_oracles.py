"""Biases by boxes on a page in float64, written from the papers, pair by pair."""

import numpy as np
from bucket_bias_oracles import bucket, by_pairs, t5_bias


def udop_distance(boxes, axis, scale):
    """Tang et al. 2023 (UDOP): distance of centers in steps, `(queries, keys)`.

    In the arithmetic of its code: centers and differences as the boxes are, the product
    in float32, and its fraction dropped.
    """
    boxes = np.asarray(boxes)
    centers = (boxes[:, axis] + boxes[:, axis + 2]) / boxes.dtype.type(2)
    differences = (centers[None, :] - centers[:, None]).astype(np.float32)
    return np.trunc(differences * np.float32(scale)).astype(np.int64)


def udop_bias(tables, kinds, boxes):
    """The sum over tables, whose kinds are dicts as in `relative_bias_args`."""
    made = 0.0
    for table, kind in zip(tables, kinds, strict=True):
        pages = [_udop_table(table, kind, page) for page in np.asarray(boxes)]
        made = made + np.stack(pages)
    return made


def _udop_table(table, kind, page):
    table, length = np.asarray(table, np.float64), len(page)
    sequence = kind["type"] == "1d"
    num_buckets = kind.get("relative_attention_num_buckets", 32)
    largest = kind.get("max_distance", 128 if sequence else 100)
    if sequence:
        place = np.arange(length)
        distances = place[None, :] - place[:, None]
    else:
        axis = ("horizontal", "vertical").index(kind["type"])
        distances = udop_distance(page, axis, kind.get("scaling_factor", 100))
    # The prefix comes first, and has boxes above the page.
    prefix = sum(top < 0 for top in page[:, 1]) if kind.get("prefix_bucket") else 0

    def value(q, k):
        if (q < prefix) != (k < prefix):
            return table[num_buckets + (q >= prefix)]
        return table[bucket(distances[q, k], num_buckets, largest, True)]

    return by_pairs(range(length), range(length), value)


def layout_bias(tables, positions, boxes, max_distance, max_box_distance):
    """Xu et al. 2021 (LayoutLMv2), eq. 3: of positions, left sides and lower sides.

    Tables are `(heads, buckets)`, `None` where the bias lacks one.
    """
    boxes = np.asarray(boxes)
    made = 0.0
    for table, places, largest in zip(
        tables,
        (np.asarray(positions), boxes[..., 0], boxes[..., 3]),
        (max_distance, max_box_distance, max_box_distance),
        strict=True,
    ):
        if table is not None:
            made = made + t5_bias(np.asarray(table).T, places, places, largest, True)
    return made


def box_relations(boxes, weight, offset, base, scale):
    """PP-DocLayoutV2: a linear map of sines of logarithms of relations of two boxes.

    Of centers: the distance in widths and heights of the query's box; of sizes: the
    ratio. Each has half as many frequencies as features, sines first.
    """
    boxes = np.asarray(boxes, np.float64)
    weight = np.asarray(weight, np.float64).reshape(len(offset), 4, -1)
    features = weight.shape[-1]
    frequencies = [base ** (-4 * i / features) for i in range(features // 2)]
    batch, length, _ = boxes.shape
    made = np.empty((batch, len(offset), length, length))
    for b, q, k in np.ndindex(batch, length, length):
        query, key = boxes[b, q], boxes[b, k]
        relations = []
        for axis in (0, 1):
            size = max(query[axis + 2] - query[axis], 1e-3) + 1e-5
            apart = abs(sum(query[axis::2]) - sum(key[axis::2])) / 2
            relations.append(np.log(apart / size + 1))
        for axis in (0, 1):
            sizes = [
                max(box[axis + 2] - box[axis], 1e-3) + 1e-5 for box in (query, key)
            ]
            relations.append(np.log(sizes[0] / sizes[1]))
        total = np.asarray(offset, np.float64)
        for relation, columns in zip(relations, weight.swapaxes(0, 1), strict=True):
            angles = [relation * scale * frequency for frequency in frequencies]
            total = total + columns @ np.append(np.sin(angles), np.cos(angles))
        made[b, :, q, k] = total
    return made

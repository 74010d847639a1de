"""Writes golden biases of transformers for tests that need neither it nor torch.

    python -m conformance.biases.golden

Tests compare single records of attnax with them. The comparison of models by their
configs is `python -m conformance.biases`.
"""

import importlib
import re

from ..embeddings.records import save

# For each file, the modules with its records, and the names of those that it keeps.
KEPT = {
    "distance_biases": {
        "alibi": r".*: 3 heads($|, )",
        "bucket_encoders": r"mpnet: ",
        "t5_stacks": r"t5: T5For.*, (en|de)coder.*, layer 0|umt5: UMT5For",
    },
    "key_biases": {
        "disentangled": r"deberta: c2p.p2c, 5|deberta-v2: (released|own)|sew-d: rel",
        "relative_keys": r"(wav2vec2-bert|speecht5: 4), layer 0",
        "relative_windows": r"vits: 9",
        "relative_blocks": r"granite_speech_plus|granite_speech5_ctc, layer 1",
        "pairs": r"esmfold2",
    },
    "sequence_biases": {
        "boxes": r"udop: .*(scales|prefix|picture), layer 0|layoutlm",
        "box_relations": r".*layer 0",
        "bucket_encoders": r"cpmant: CpmAntModel|phi4_multimodal_audio",
        "hidden_states": r"wavlm: WavLMModel.*layer 1|prophetnet: .*layer 1",
        "t5_blocks": r".*summaries",
    },
    "transformer_xl_biases": {
        "transformer_xl": r"wav2vec2-conformer|nemotron.*: 4",
        "xlnet": r".*(memory|reversed), segments|.*clamped$",
        "funnel": r".*(shift|factorized, separate_cls=False), encoder.blocks.1.0",
        "audio": r"gemma3n_audio: 3, 2|gemma4_audio: 5, 0",
        "profiles": r"inkling_text: 4, layer 1, cache|inkling2_text: 0.5, layer 0",
    },
    "grid_biases": {
        "windows": r"swin, window 3, layer 1|clap.*layer 2|timm",
        "class_rows": r"BeitModel: (both, 2 x 4|shared, trained)|Data2V.*each.*layer 1",
        "offsets": r"levit: 5 x 5, stage 0, layer 2|timm: (levit|tiny_vit)",
        "log_coordinates": r"swinv2: .*7, 3.*layer 2|timm: (swin, trained|cr)",
        "decomposed": r"vitdet: (image 4 x 7|queries)|sam: .*layer 1",
        "resized_tables": r".*\((3, 3|4, 4|5, 5)\) to \((8, 8|3, 6)\)|linear: (9|15)",
    },
}


def main():
    for stem, kept in KEPT.items():
        records = []
        for name, pattern in kept.items():
            part = importlib.import_module(f".{name}", __package__)
            records += [r for r in part.records() if re.match(pattern, r.name)]
        save(stem, records)
        print(f"{stem}: {len(records)} records")


if __name__ == "__main__":
    main()

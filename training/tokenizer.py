"""CLIP's byte-pair tokenizer: training a small vocabulary on captions, and encoding. Files: vocab.json, merges.txt."""
import collections
import html
import json
import os
import unicodedata

START, END = "<|startoftext|>", "<|endoftext|>"


def byte_symbols():
    """GPT-2's printable stand-in for each byte."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table, extra = {}, 0
    for byte in keep:
        table[byte] = chr(byte)
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(256 + extra)
            extra += 1
    return table


SYMBOLS = byte_symbols()


def kind(char):
    group = unicodedata.category(char)[0]
    return "L" if group == "L" else "N" if group == "N" else "S" if char.isspace() else "P"


def split(text):
    """CLIP's pattern: specials, 's 't 're 've 'm 'll 'd, runs of letters, single digits, runs of anything else but space."""
    words, i = [], 0
    while i < len(text):
        special = next((s for s in (START, END) if text.startswith(s, i)), None)
        short = next((s for s in ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d") if text.startswith(s, i)), None)
        if special or short:
            words.append(special or short)
        else:
            k = kind(text[i])
            j = i + 1
            if k in "LP":
                while j < len(text) and kind(text[j]) == k:
                    j += 1
            if k == "S":
                i += 1
                continue
            words.append(text[i:j])
        i += len(words[-1])
    return words


def clean(text):
    return " ".join(unicodedata.normalize("NFC", html.unescape(html.unescape(text))).split()).strip().lower()


def word_symbols(word):
    symbols = [SYMBOLS[b] for b in word.encode()]
    symbols[-1] += "</w>"
    return tuple(symbols)


def merge(symbols, pair):
    out, i = [], 0
    while i < len(symbols):
        if i + 1 < len(symbols) and (symbols[i], symbols[i + 1]) == pair:
            out.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            out.append(symbols[i])
            i += 1
    return tuple(out)


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.rank = {m: i for i, m in enumerate(self.merges)}
        base = [SYMBOLS[b] for b in list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))]
        base += [s for s in SYMBOLS.values() if s not in base]
        names = base + [s + "</w>" for s in base] + ["".join(m) for m in self.merges] + [START, END]
        self.vocab = {name: i for i, name in enumerate(names)}

    @classmethod
    def train(cls, texts, count):
        words = collections.Counter(word_symbols(w) for t in texts for w in split(clean(t)))
        merges = []
        while len(merges) < count:
            pairs = collections.Counter()
            for word, n in words.items():
                for pair in zip(word, word[1:]):
                    pairs[pair] += n
            if not pairs:
                break
            best = max(sorted(pairs), key=lambda p: pairs[p])
            merges.append(best)
            words = collections.Counter({merge(w, best): n for w, n in words.items()})
        return cls(merges)

    @classmethod
    def load(cls, folder):
        with open(os.path.join(folder, "merges.txt"), encoding="utf-8") as file:
            return cls([line.split() for line in file.read().split("\n")[1:] if line])

    def save(self, folder, length=77):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as file:
            json.dump(self.vocab, file, ensure_ascii=False)
        with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as file:
            file.write("#version: 0.2\n" + "".join(" ".join(m) + "\n" for m in self.merges))
        with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
            json.dump({"tokenizer_class": "CLIPTokenizer", "model_max_length": length, "pad_token": END, "bos_token": START,
                       "eos_token": END, "unk_token": END}, file, indent=1)

    def word_ids(self, word):
        if word in (START, END):
            return [self.vocab[word]]
        symbols = word_symbols(word)
        while len(symbols) > 1:
            pair = min(zip(symbols, symbols[1:]), key=lambda p: self.rank.get(p, 1 << 30))
            if pair not in self.rank:
                break
            symbols = merge(symbols, pair)
        return [self.vocab[s] for s in symbols]

    def encode(self, text, length=77):
        """-> `length` ids: start, text cut to fit, end, padded with end."""
        ids = [i for w in split(clean(text)) for i in self.word_ids(w)][:length - 2]
        end = self.vocab[END]
        return ([self.vocab[START]] + ids + [end] + [end] * length)[:length]

"""CLIP's tokenizer written from its paper's description (arXiv 2103.00020, section 2.4, and GPT-2's byte-level BPE), a tiny
vocabulary trained with it, and awkward prompts with their token numbers. Independent of training/tokenizer.py on purpose."""
import html
import json
import os
import unicodedata

START, END = "<|startoftext|>", "<|endoftext|>"
TEXT = """a car at dusk in the rain on a wet road with the lights of the street and the buildings . a bus and a truck turn left at the
junction while the cars wait ; it's night , they're parked in front of the houses 2 3 10 . a motorway with three lanes in fog ,
clear sky over the town , the driver's view of a pedestrian crossing the street ; naïve café größe straße 東京 の 車 ночь город"""


def symbols():
    printable = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    hidden = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(hidden)}}


BYTES = symbols()


def category(c):
    if c.isspace() and c not in "\x1c\x1d\x1e\x1f":
        return "space"
    return {"L": "letter", "N": "number"}.get(unicodedata.category(c)[0], "other")


def pieces(text):
    text = "".join(c.lower() for c in unicodedata.normalize("NFC", html.unescape(html.unescape(text))))
    i = 0
    while i < len(text):
        for fixed in (START, END, "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"):
            if text.startswith(fixed, i):
                yield fixed
                i += len(fixed)
                break
        else:
            kind, j = category(text[i]), i + 1
            while kind in ("letter", "other") and j < len(text) and category(text[j]) == kind:
                j += 1
            if kind != "space":
                yield text[i:j]
            i = j


def split(piece):
    out = [BYTES[b] for b in piece.encode("utf-8")]
    return out[:-1] + [out[-1] + "</w>"]


def join(parts, pair):
    out = []
    for part in parts:
        if out and len(out) and out[-1] is not None and (out[-1], part) == pair:
            out[-1] = pair[0] + pair[1]
            out.append(None)  # what was joined does not join again in this pass
        else:
            out.append(part)
    return [p for p in out if p is not None]


class Tokenizer:
    def __init__(self, count):
        words = [split(p) for p in pieces(TEXT)]
        self.merges = []
        while len(self.merges) < count:
            counts = {}
            for word in words:
                for pair in zip(word, word[1:]):
                    counts[pair] = counts.get(pair, 0) + 1
            best = max(sorted(counts), key=lambda p: counts[p])
            self.merges.append(best)
            words = [join(w, best) for w in words]
        base = [BYTES[b] for b in sorted(BYTES)]
        names = base + [b + "</w>" for b in base] + [a + b for a, b in self.merges] + [START, END]
        self.vocab = {name: i for i, name in enumerate(names)}
        self.rank = {pair: i for i, pair in enumerate(self.merges)}

    def encode(self, text, length=77, pad=None):
        ids = []
        for piece in pieces(text):
            if piece in (START, END):
                ids.append(self.vocab[piece])
                continue
            parts = split(piece)
            while True:
                known = [p for p in zip(parts, parts[1:]) if p in self.rank]
                if not known:
                    break
                parts = join(parts, min(known, key=self.rank.get))
            ids += [self.vocab[p] for p in parts]
        ids = [self.vocab[START]] + ids[:length - 2] + [self.vocab[END]]
        return ids + [self.vocab[pad or END]] * (length - len(ids))


def make(folder, count):
    tokenizer = Tokenizer(count)
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/vocab.json", "w", encoding="utf-8") as file:
        json.dump(tokenizer.vocab, file, ensure_ascii=False)
    with open(f"{folder}/merges.txt", "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in tokenizer.merges))
    return tokenizer


PROMPTS = [
    "", " ", "\t\n\r\v\f", "a", "A", "a car", "A CAR AT DUSK", "a  car\n\n at\tdusk ", "it's they're we've I'm you'll he'd can't", "IT'S THEY'RE",
    "'s", "''s", "' s", "'S'T", "don't''t", "rock'n'roll", "'really", "'vex", "'llama", "the driver's view", "o'clock", "'", "''''", "it’s",
    "2", "23", "2023", "1st 2nd 3rd", "3x3", "1,000.50", "½ ¾ ²³", "Ⅷ Ⅻ", "①②③", "٣٤٥", "१२३", "〇一二三", "a1b2c3", "v2.0-rc1", "10km/h",
    "!", "!!!", "?!?!...", "...", "--", "—–-", "a,b;c:d", "(a) [b] {c}", "<a href='x'>", "&amp; &lt;b&gt;", "https://example.org/a?b=c&d=1#e",
    "user@example.org", "C:\\path\\file.txt", "50%", "$9.99 €5 £3 ¥100", "a+b=c", "x^2", "#tag @name", "`code`", "\"quoted\"", "‘single’ “double”",
    "<|startoftext|>", "<|endoftext|>", "<|STARTOFTEXT|>", "a<|endoftext|>b", "!<|endoftext|>!", "<|endoftext", "|>", "<|startoftext|><|endoftext|>",
    "naïve café größe straße", "NAÏVE CAFÉ GRÖSSE STRASSE", "ÀÉÎÕÜ", "İstanbul ISTANBUL ıI", "ΑΣ ΟΔΟΣ σς", "ǅ ǆ Ǆ", "ẞ ß", "ЁЖ ночь ГОРОД", "Ⱥ Ⱦ",
    "K Å Ω", "Ａｂｃ１２３！", "東京の車", "東京 の 車", "서울의 밤", "ภาษาไทย", "हिन्दी में", "العربية", "עברית", "ქართული ᲐᲑᲒ", "Ꭰ ꭰ", "𐐀𐐨", "𝒜𝓫𝟙𝟚",
    "é", "é", "ñ", "ﬁ ﬂ", "a\u0300b", "a\u200bb", "a\u200db", "a\ufeffb", "\u00a0a\u00a0b", "a\u2003b\u2009c", "a\u3000b", "a\u2028b\u2029c", "a\u0085b",
    "a\x00b".replace("\x00", "\x01"), "\x1b[0m", "a\x1cb\x1fc", "\x7f", "🚗", "🚗🚙🚌", "a🚗b", "👨‍👩‍👧", "🇩🇪", "☂️ rain", "→←", "𝕏", "\U0010fffd", "\ufffd",
    "cars wait", "carscarscars", "aaaaaaaaaaaaaaaaaaaaaaaa", "abababababab", "thethethe", "streetstreetlights", "the the the",
    "motorway motorways MOTORWAY", "ing", "tion", "buildings buildings,buildings", "a " * 74, "a " * 75, "a " * 76, "a " * 200, "car" * 100, "🚗" * 40,
    "a photo of a car, 35mm, f/1.8, 1/250s -- clear sky; low sun (dusk)", "Six cameras: FRONT, FRONT_LEFT, BACK_RIGHT", "snake_case CamelCase kebab-case",
    "&amp;lt;b&amp;gt;", "&amp;amp;amp;", "&lt;|endoftext|&gt;", "caf&eacute; &Eacute;T&Eacute;", "&copy2024 &notit; &notin;", "&nbsp;a&nbsp;&nbsp;b", "&#65;&#x42;&#X43;", "&#0; &#x110000; &#xD800;",
    "&#128;&#150;&#159;", "&#1;a&#11;b&#127;", "&#xfdd0;&#xffff;x", "&# &#x &#; &;", "&unknown; &ampamp; &AMP", "&NotEqualTilde;&acE;", "&hellip;&mdash;&rsquo;s", "&CounterClockwiseContourIntegral;", "a&b",
    "&&&", "&amp", "&quot;rain&quot;", "&#39;s it&#x27;s", "AT&T R&D", "&lt&gt", "&ampersand", "&zwj;&zwnj;", "&frac12; &sup2;",
    "e\u0301 n\u0303 A\u030a", "o\u0302\u0323 o\u0323\u0302", "a\u0301\u0300\u0323", "\u1100\u1161\u11a8 \u1112\u1161\u11ab\u1100\u1173\u11af", "\uac00\u11a8", "\u0958\u0959", "\ufb2c \u05e9\u05bc\u05c1",
    "\u212b \u2126 \u212a", "\u0344 \u0340\u0341", "q\u0307\u0323", "\u0301a", "a\u0308\u0301 \u01d5 \u1f82", "\u0915\u093c", "\U0001d160", "\u09c7\u09be", "\u0f71\u0f72", "I\u0307STANBUL",
    "\u03a5\u0301\u0308", "x" + "\u0301\u0323" * 20, "\u1e9b\u0323", "\uf900 \ufa0e", "s\u0323\u0307 \u1e69", "\u0b92\u0bd7", "\u304b\u3099 \u30cf\u309a",
    "(a:1.2) [b] {c}", "a \\( b \\)", "masterpiece,best quality,(8k)", "<lora:name:0.8> car", "a AND b", "a | b", "BREAK a", "--ar 16:9", "1girl", "4k,8K,HDR", "f/2.8 ISO100",
    "e-mail: a.b@c.de", "100km/h@50%", "mixed\u00a0\u2003spaces\u3000here", "'Tis the season", "y'all'd've", "\u201cquotes\u201d \u2018here\u2019", "3.14159", "\u0661\u0662 \u09e7", "\u2460\u2474",
]


def write(folder):
    tokenizer = make(folder, 150)
    with open(f"{folder}/cases.json", "w", encoding="utf-8") as file:
        json.dump([{"prompt": p, "ids": tokenizer.encode(p)} for p in PROMPTS], file, ensure_ascii=True)

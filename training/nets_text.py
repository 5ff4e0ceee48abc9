"""CLIP's text encoder (arXiv 2103.00020) in transformers' state_dict naming."""
import torch
from torch import nn
from torch.nn import functional as F

from nets import LayerNorm


class CLIPAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x):
        n, t, c = x.shape
        d = c // self.heads
        q, k, v = (p(x).reshape(n, t, self.heads, d).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        score = (q @ k.transpose(2, 3)).float() * d ** -.5
        score = score + torch.full((t, t), float("-inf"), device=x.device).triu(1)
        return self.out_proj((score.softmax(-1).to(v.dtype) @ v).transpose(1, 2).reshape(n, t, c))


class CLIPMLP(nn.Module):
    def __init__(self, dim, inner, activation):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, inner), nn.Linear(inner, dim)
        self.activation = activation

    def forward(self, x):
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x) if self.activation == "quick_gelu" else F.gelu(x))


class CLIPLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim = config["hidden_size"]
        self.layer_norm1, self.layer_norm2 = LayerNorm(dim), LayerNorm(dim)
        self.self_attn = CLIPAttention(dim, config["num_attention_heads"])
        self.mlp = CLIPMLP(dim, config["intermediate_size"], config.get("hidden_act", "quick_gelu"))

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Embeddings(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.token_embedding = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.position_embedding = nn.Embedding(config["max_position_embeddings"], config["hidden_size"])

    def forward(self, ids):
        return self.token_embedding(ids) + self.position_embedding.weight[:ids.shape[1]]


class TextTransformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList([CLIPLayer(config) for _ in range(config["num_hidden_layers"])])
        self.final_layer_norm = LayerNorm(config["hidden_size"])


class CLIPTextModel(nn.Module):
    """ids [N, T] -> last hidden state after the final layer norm [N, T, hidden_size]."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.text_model = TextTransformer(config)

    def forward(self, ids):
        x = self.text_model.embeddings(ids)
        for layer in self.text_model.encoder.layers:
            x = layer(x)
        return self.text_model.final_layer_norm(x)

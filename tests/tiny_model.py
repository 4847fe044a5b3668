"""A base model of two layers with a real tokenizer, made on the spot in about a second.

It is random and knows nothing, but everything about it is like the real thing: a Llama with
grouped keys, a byte-level BPE tokenizer whose end token is also its pad token, a chat template,
and weights as safetensors.
"""

from __future__ import annotations

from pathlib import Path

_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_WORDS = """
You moderate posts. The rules: Answer with the names of the broken rules, or none.
Answer in three lines: Analysis, Harmful information quoted from the post, or none, Classification.
system user assistant harassment hate threat scam gambling solicitation spam violence self-harm
insults belittles or hounds a person, or calls on others to do so. demeans or excludes people for
origin, religion, gender, disability or the like. announces or wishes serious harm to someone.
tricks people out of money, accounts or personal data. promotes betting or games for money.
offers or asks for sexual contact or intimate pictures. The post says that it is not about this one.
Free money now! Click here and win a prize today. I will find you and hurt you. Nobody likes you,
leave already. What a lovely day in the garden with my dog. The bank will never ask for your password.
Those people should go back where they came from. See you at the match tonight, bring your friends.
Police arrested two men after a threat was posted online. My grandmother bakes the best bread in town.
"""


def make_tiny_model(folder: Path) -> Path:
    """Write the model into the folder, made where missing, and give the folder back."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=640,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokens.train_from_iterator(_WORDS.splitlines() * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(folder)

    config = LlamaConfig(
        vocab_size=tokens.get_vocab_size(),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        # Wider than usual, so that an untrained model still tells one token from another.
        initializer_range=0.08,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        # With the usual weights of one, so small a model could never be sure of a token.
        torch.nn.init.constant_(model.model.norm.weight, 3.0)
    model.save_pretrained(folder)
    return folder

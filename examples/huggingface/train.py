"""transformers' Trainer with HfArgumentParser: a tiny BERT learns which of two words a sentence has more of."""

from dataclasses import dataclass, field

import torch
from transformers import BertConfig, BertForSequenceClassification, HfArgumentParser, Trainer, TrainingArguments


@dataclass
class ModelArguments:
    hidden_size: int = field(default=32, metadata={"help": "width of the network"})
    layers: int = field(default=1)


class Sentences(torch.utils.data.Dataset):
    """Twelve drawn words; 1 where the word 1 stands there more often than the word 2."""

    def __init__(self, number, seed):
        draw = torch.Generator().manual_seed(seed)
        self.ids = torch.randint(1, 6, (number, 12), generator=draw)
        self.labels = ((self.ids == 1).sum(1) > (self.ids == 2).sum(1)).long()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return {"input_ids": self.ids[index], "labels": self.labels[index]}


def main():
    model_args, args = HfArgumentParser((ModelArguments, TrainingArguments)).parse_args_into_dataclasses()
    torch.manual_seed(args.seed)
    config = BertConfig(
        vocab_size=6,
        hidden_size=model_args.hidden_size,
        num_hidden_layers=model_args.layers,
        num_attention_heads=2,
        intermediate_size=2 * model_args.hidden_size,
        max_position_embeddings=16,
    )
    trainer = Trainer(
        model=BertForSequenceClassification(config),
        args=args,
        train_dataset=Sentences(1000, seed=1),
        eval_dataset=Sentences(500, seed=2),
        compute_metrics=lambda p: {"accuracy": (p.predictions.argmax(-1) == p.label_ids).mean()},
    )
    trainer.train()
    trainer.save_state()


if __name__ == "__main__":
    main()

"""What the app says, in English and Chinese: each language has the same keys, and the same values in its sentences."""

from __future__ import annotations

LANGUAGES = {"en": "English", "zh": "中文"}

# What the model reads, and what the Chinese page calls it.
EXAMPLES = (
    ("80s pop track with synth and drums", "八十年代流行乐，合成器与鼓"),
    ("a cheerful country song with acoustic guitars", "欢快的乡村歌曲，木吉他"),
    ("90s rock song with electric guitar and heavy drums", "九十年代摇滚，电吉他与重鼓"),
    ("a light EDM track with syncopated drums and airy pads", "轻快的电子舞曲，切分鼓点与空灵铺底音"),
)
TINY_EXAMPLES = (
    ("a fast happy bell melody, with drums", "快速欢乐的铃声旋律，有鼓"),
    ("a slow calm melody on a plucked string", "缓慢平静的拨弦旋律"),
    ("a sad organ piece in D minor, no drums", "D 小调悲伤管风琴曲，无鼓"),
    ("lively buzzing synth, over a drum machine", "活泼的锯齿波合成器，配鼓机"),
)

TEXTS = {
    "en": {
        "title": "MusicGen, built to be understood",
        "intro": "Describe some music, and hear it while it is being made. Everything runs on the computer that serves "
        "this page; nothing is sent anywhere else.",
        "tiny": "The model “tiny” is small and was trained on synthetic music. It knows only these sounds: plucked "
        "string, bell, organ, saw synth and soft pad; slow to fast; major and minor in C, D and E; with drums or "
        "without. Other words lead it nowhere.",
        "published": "Weights published by Meta are under CC-BY-NC 4.0: not for commercial use.",
        "language": "Language",
        "prompt": "Prompt",
        "placeholder": "describe some music, in English",
        "tiny_examples": "Examples that tiny knows",
        "examples": "Examples for the published models",
        "model": "Model",
        "seconds": "Length (s)",
        "chunk_seconds": "Chunk (s)",
        "seed": "Seed",
        "guidance_scale": "Guidance",
        "top_k": "Top-k",
        "temperature": "Temperature",
        "range": "{low:.15g} to {high:.15g}",
        "model_info": "those that --model named",
        "seed_info": "empty: a new one",
        "guidance_scale_info": "0 to 10: 0 ignores the text, 1 is as learned, 3 is strong",
        "top_k_info": "0 draws from all codes",
        "temperature_info": "0 to 2; 0 takes the likeliest",
        "settings": "More settings",
        "upload": "Go on from a recording …",
        "forget": "Without the recording",
        "recording": "Goes on from {name}, {seconds:.1f} s. The length counts from its beginning.",
        "generate": "Generate",
        "stop": "Stop",
        "clear": "Clear",
        "download": "Download WAV",
        "player": "Music",
        "ready": "Press Generate.",
        "hint": "This prompt has Chinese in it. The model reads English only, and this app was started without a "
        "translator (option --translator), so it will not understand it.",
        "translated": "Translated to: “{prompt}”.",
        "error": "Error.",
        "waiting": "Waiting: number {place} of {waiting} in the queue.",
        "loading": "Loading the model {model}.",
        "begun": "Generating: the first sound comes after its own steps.",
        "working": "Generating and playing: {made:.1f} of {seconds:.1f} s.",
        "done": "Done: {seconds:.1f} s of music in {took:.1f} s, the first sound after {first:.1f} s. Seed {seed}.",
        "stopped": "Stopped. Nothing more is being made.",
        "cleared": "Cleared. Press Generate.",
        "empty": "The prompt is empty: write a few words, or choose an example.",
        "long_prompt": "The prompt has {length} characters: {limit} are the most.",
        "out_of_range": "“{label}” must be a number from {low:.15g} to {high:.15g}, not {value}.",
        "not_whole": "“{label}” must be a whole number, not {value}.",
        "no_number": "“{label}” needs a number from {low:.15g} to {high:.15g}.",
        "unknown_model": "There is no model “{model}” here: choose one of {models}.",
        "full": "The queue is full: {waiting} waiting. Try again in a moment.",
        "not_audio": "This file holds no sound that can be read: choose a WAV, FLAC, OGG or MP3 file.",
        "long_recording": "The recording lasts {seconds:.1f} s: it must be shorter than {limit:.1f} s, to leave "
        "something to make.",
        "short_recording": "The recording is too short: it must last at least {limit:.2f} s.",
        "no_file": "The file could not be written: {reason}. Seed {seed} makes the same music again.",
        "not_text": "The prompt holds half a character ({character}): type it anew.",
        "failed": "That went wrong: {reason}",
    },
    "zh": {
        "title": "MusicGen：为理解而造",
        "intro": "描述一段音乐，边生成边听。一切都在提供此页面的电脑上运行，不向任何其他地方发送数据。",
        "tiny": "模型“tiny”很小，只用合成音乐训练过。它只认识这些声音：拨弦、铃、管风琴、锯齿波合成器、柔和铺底音；"
        "由慢到快；C、D、E 的大调与小调；有鼓或无鼓。别的词对它没有意义。",
        "published": "Meta 发布的权重采用 CC-BY-NC 4.0 许可：不得用于商业用途。",
        "language": "语言",
        "prompt": "提示词",
        "placeholder": "请用英文描述音乐",
        "tiny_examples": "tiny 认识的示例",
        "examples": "适合已发布模型的示例",
        "model": "模型",
        "seconds": "时长（秒）",
        "chunk_seconds": "分块（秒）",
        "seed": "随机种子",
        "guidance_scale": "引导强度",
        "top_k": "Top-k",
        "temperature": "温度",
        "range": "{low:.15g} 到 {high:.15g}",
        "model_info": "由 --model 指定",
        "seed_info": "留空则随机",
        "guidance_scale_info": "0 到 10：0 不看文字，1 如训练时，3 较强",
        "top_k_info": "0 表示不限制",
        "temperature_info": "0 到 2，0 取最可能的",
        "settings": "更多设置",
        "upload": "从一段录音续写……",
        "forget": "不用这段录音",
        "recording": "从 {name}（{seconds:.1f} 秒）续写，时长从录音开头算起。",
        "generate": "生成",
        "stop": "停止",
        "clear": "清除",
        "download": "下载 WAV",
        "player": "音乐",
        "ready": "请按“生成”。",
        "hint": "提示词里有中文。模型只读英文，而此应用启动时没有指定翻译模型（选项 --translator），所以它读不懂。",
        "translated": "已译为：“{prompt}”。",
        "error": "错误。",
        "waiting": "排队中：第 {place} 位，共 {waiting} 位。",
        "loading": "正在载入模型 {model}。",
        "begun": "正在生成，很快就有声音。",
        "working": "边生成边播放：{made:.1f} / {seconds:.1f} 秒。",
        "done": "完成：{seconds:.1f} 秒音乐用时 {took:.1f} 秒，{first:.1f} 秒后有第一个声音。种子 {seed}。",
        "stopped": "已停止，不再生成。",
        "cleared": "已清除。请按“生成”。",
        "empty": "提示词是空的：请写几个词，或选一个示例。",
        "long_prompt": "提示词有 {length} 个字符，最多 {limit} 个。",
        "out_of_range": "“{label}”必须是 {low:.15g} 到 {high:.15g} 之间的数，而不是 {value}。",
        "not_whole": "“{label}”必须是整数，而不是 {value}。",
        "no_number": "“{label}”需要一个 {low:.15g} 到 {high:.15g} 之间的数。",
        "unknown_model": "这里没有模型“{model}”，请从 {models} 中选择。",
        "full": "队列已满：有 {waiting} 位在等待。请稍后再试。",
        "not_audio": "无法从这个文件读出声音：请选择 WAV、FLAC、OGG 或 MP3 文件。",
        "long_recording": "录音长 {seconds:.1f} 秒，必须短于 {limit:.1f} 秒，才有内容可以续写。",
        "short_recording": "录音太短：至少要有 {limit:.2f} 秒。",
        "no_file": "无法写入文件：{reason}。用种子 {seed} 可再次得到同样的音乐。",
        "not_text": "提示词里有半个字符（{character}），请重新输入。",
        "failed": "出错了：{reason}",
    },
}


def say(language: str, key: str, **values: object) -> str:
    """A sentence or label in a language, its places filled in; `label` is the key of a label.

    A language that is not known is English.
    """
    texts = TEXTS.get(language, TEXTS["en"])
    if "label" in values:
        values["label"] = texts[values["label"]]
    return texts[key].format(**values)

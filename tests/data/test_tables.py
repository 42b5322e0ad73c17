"""Tables as spreadsheets of any country write them; a wrong row costs that row alone, and is told."""

from __future__ import annotations

import re

import pytest

from musicgen_edu.data.tables import LeftOut, table_columns, table_rows

ROWS = [("0.wav", "ruhige Glocke, tief"), ("1.wav", "organ")]


def read(path, columns=("file", "caption")):
    told = []
    return [
        (line, tuple(row[name] for name in columns)) for line, row in table_rows(path, columns, LeftOut(told.append))
    ], told


def write(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def text_of(separator=",", end="\n", header=("file", "caption")):
    cells = [header, *ROWS]
    return end.join(separator.join(f'"{cell}"' if separator in cell else cell for cell in row) for row in cells) + end


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_separators_line_ends_and_encodings(tmp_path, separator, end, encoding):
    path = write(tmp_path, text_of(separator, end).encode(encoding))
    assert read(path) == ([(2, ROWS[0]), (3, ROWS[1])], [])
    assert table_columns(path) == ["file", "caption"]


@pytest.mark.parametrize(
    "content",
    [
        "\n\n" + text_of(),
        "\ufeff" + text_of(),
        text_of(header=("File", "CAPTION")),
        text_of(header=(" file ", "caption ")),
        text_of(header=('"file"', '"caption"')),
        "sep=;\n" + text_of(";"),
        "sep=|\r\n" + text_of("|", "\r\n"),
        text_of().replace("\n1.wav", "\n\n  \n,\n1.wav"),
        text_of() + "\n\n\n",
        text_of().removesuffix("\n"),
        '"file","caption"\n"0.wav","ruhige Glocke, tief"\n"1.wav","organ"\n',
        'file,caption\n0.wav, "ruhige Glocke, tief" \n1.wav,organ\n',
        ',file,caption\n0,0.wav,"ruhige Glocke, tief"\n1,1.wav,organ\n',
        "\tfile\tcaption\n0\t0.wav\truhige Glocke, tief\n1\t1.wav\torgan\n",
    ],
)
def test_small_things_around_the_cells_are_borne(tmp_path, content):
    found, told = read(write(tmp_path, content))
    assert [row for _, row in found] == ROWS
    assert told == []


BROKEN = {  # name: (the wrong row, what is said of it)
    "a quote at the start": ('x.wav,"Lo-fi" hip hop beat', "its quotes are wrong"),
    "a quote never closed": ('x.wav,"Lo-fi hip hop', "its quotes are wrong"),
    "a quote closed in the middle": ('x.wav,"a "quoted" word"', "its quotes are wrong"),
    "a quote before the name": ('"x.wav,bell', "its quotes are wrong"),
    "a lone quote": ('x.wav,"', "its quotes are wrong"),
    "three quotes": ('x.wav,"""', "its quotes are wrong"),
    "too few cells": ("x.wav", "1 cells, expected 2"),
    "too many cells": ("x.wav,slow, calm", "3 cells, expected 2"),
    "the other separator": ("x.wav;bell", "1 cells, expected 2"),
    "a letter of cp1252": (b"x.wav,caf\xe9", "it is not text in UTF-8"),
    "bytes of no text": (b"\xff\xfe\x80,\x9f", "it is not text in UTF-8"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_wrong_row_costs_that_row(tmp_path, name, place):
    row, said = BROKEN[name]
    lines = [b"file,caption", b"0.wav,ruhige Glocke", b'1.wav,"organ, slow"']
    lines.insert(place, row if isinstance(row, bytes) else row.encode())
    found, told = read(write(tmp_path, b"\n".join(lines) + b"\n"))
    expected = {b"0.wav,ruhige Glocke": ("0.wav", "ruhige Glocke"), b'1.wav,"organ, slow"': ("1.wav", "organ, slow")}
    assert found == [(i + 1, expected[line]) for i, line in enumerate(lines) if line in expected]
    assert len(told) == 1
    assert re.search(rf"left out: line {place + 1} of .*t\.csv: {said}", told[0])


def test_many_wrong_rows_are_each_told_and_take_no_time(tmp_path):
    lines = ["file,caption", *(f'{i}.wav,"never closed' if i % 2 else f"{i}.wav,good" for i in range(20000))]
    found, told = read(write(tmp_path, "\n".join(lines)))
    assert (len(found), len(told)) == (10000, 10000)
    assert found[-1] == (20000, ("19998.wav", "good"))


def test_a_cell_of_several_lines(tmp_path):
    found, told = read(write(tmp_path, 'file,caption\r\n0.wav,"two\r\nlines, ""quoted"""\r\n1.wav,organ\r\n'))
    assert found == [(2, ("0.wav", 'two\r\nlines, "quoted"')), (4, ("1.wav", "organ"))]
    assert told == []
    assert read(write(tmp_path, f"file,caption\n0.wav,{'long ' * 50000}\n"))[0][0][1][1].startswith("long long")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "lacks the column file: its first line must name file, caption, separated by commas, semicolons or tabs"),
        ("Datei;Text\n0.wav;Glocke\n", "lacks the column file"),
        ("file|caption\n0.wav|bell\n", "separated by commas, semicolons or tabs"),
        ("file,File,caption\n", "has the column file twice"),
        (b"PK\x03\x04" + bytes(50), "is a spreadsheet or an archive, not a table in text: save it as CSV in UTF-8"),
        (b"\x1f\x8b\x08" + bytes(50), "is compressed, not a table in text"),
        ("Größe,file,caption\n".encode("cp1252"), "the first line of .* is not text in UTF-8"),
        (bytes(100), "lacks the column file"),
        ('"file,caption\n0.wav,bell\n', "damaged at line 1: its quotes are wrong"),
    ],
)
def test_what_is_no_such_table_is_one_sentence(tmp_path, content, said):
    with pytest.raises(ValueError, match=said) as error:
        read(write(tmp_path, content))
    assert "\n" not in str(error.value)


def test_there_is_no_table(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(FileNotFoundError, match="no table at"):
            read(path)

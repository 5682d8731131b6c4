"""Logs as they are published: small files of these layouts, and what a user has to say about each."""

from pathlib import Path

import pytest

from streams.logs.event_log import EventLog, load_log, survey
from streams.logs.options import LogOptions
from wire.errors import InputError

T = 1_433_221_332_117


def event(
    user: str, item: str, label: int, ms: int, kind: str = "event", *, category: str = "unknown"
) -> tuple[str, str, str, str, int, int]:
    return user, item, category, kind, label, ms


# name: (file name, text, options, events)
LAYOUTS = {
    "RetailRocket": (
        "events.csv",
        "timestamp,visitorid,event,itemid,transactionid\n"
        f"{T},257597,view,355908,\n{T + 1},992329,addtocart,248676,\n{T + 2},111016,transaction,318965,4000\n",
        LogOptions(positive="addtocart,transaction"),
        [
            event("257597", "355908", 0, T, "view"),
            event("992329", "248676", 1, T + 1, "addtocart"),
            event("111016", "318965", 1, T + 2, "transaction"),
        ],
    ),
    "Yoochoose clicks": (
        "yoochoose-clicks.dat",
        "1,2014-04-07T10:51:09.277Z,214536502,0\n1,2014-04-07T10:54:09.868Z,214536500,S\n",
        LogOptions(("user_id=1", "timestamp=2", "item_id=3", "category_id=4"), positive="all"),
        [
            event("1", "214536502", 1, 1_396_867_869_277, category="0"),
            event("1", "214536500", 1, 1_396_868_049_868, category="S"),
        ],
    ),
    "MovieLens ratings.csv": (
        "ratings.csv",
        "userId,movieId,rating,timestamp\r\n1,1,4.0,964982703\r\n1,3,3.5,964982704\r\n",
        LogOptions(positive="rating>=4"),
        [event("1", "1", 1, 964_982_703_000), event("1", "3", 0, 964_982_704_000)],
    ),
    "MovieLens u.data": (
        "u.data",
        "196\t242\t3\t881250949\n186\t302\t4\t881250950\n",
        LogOptions(("user_id=1", "item_id=2", "timestamp=4"), positive="3>=4"),
        [event("196", "242", 0, 881_250_949_000), event("186", "302", 1, 881_250_950_000)],
    ),
    "MovieLens ratings.dat": (
        "ratings.dat",
        "1::1193::5::978300760\n1::661::3::978300761\n",
        LogOptions(("user_id=1", "item_id=2", "timestamp=4"), positive="3>=4"),
        [event("1", "1193", 1, 978_300_760_000), event("1", "661", 0, 978_300_761_000)],
    ),
    "Amazon reviews 2014": (
        "reviews_Books_5.json",
        '{"reviewerID":"A2","asin":"0001","overall":5.0,"summary":"so \\"good\\"","unixReviewTime":1355616000,'
        '"reviewTime":"12 16, 2012"}\n'
        '{"reviewerID":"A3","asin":"0002","overall":2.0,"unixReviewTime":1355616001}\n',
        LogOptions(positive="overall>=4"),
        [event("A2", "0001", 1, 1_355_616_000_000), event("A3", "0002", 0, 1_355_616_001_000)],
    ),
    "Amazon reviews 2023": (
        "All_Beauty.jsonl",
        '{"rating":5.0,"title":"x","images":[],"asin":"B00","parent_asin":"B01","user_id":"AG","timestamp":1588687728923}\n',
        LogOptions(("item_id=parent_asin",), positive="rating>=4"),
        [event("AG", "B01", 1, 1_588_687_728_923)],
    ),
    "KuaiRand": (
        "log_random.csv",
        "user_id,video_id,date,hourmin,time_ms,is_click,is_like,tab\n0,7,20220508,1100,1651979432000,1,0,1\n"
        "0,8,20220508,1100,1651979433000,0,0,1\n",
        LogOptions(),
        [event("0", "7", 1, 1_651_979_432_000), event("0", "8", 0, 1_651_979_433_000)],
    ),
    "Last.fm 1K": (
        "userid-timestamp-artid-artname-traid-traname.tsv",
        'user_000001\t2009-05-04T23:08:57Z\tf1b1\tDeep Dish\t\t"Fuck Me" (12" mix)\n'
        'user_000001\t2009-05-04T23:09:57Z\tf1b2\t"Weird Al"\t\tEat it\n',
        LogOptions(("user_id=1", "timestamp=2", "item_id=6"), positive="all"),
        [
            event("user_000001", '"Fuck Me" (12" mix)', 1, 1_241_478_537_000),
            event("user_000001", "Eat it", 1, 1_241_478_597_000),
        ],
    ),
    "REES46": (
        "2019-Oct.csv",
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
        "2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,35.79,541312140,72d7\n"
        "2019-10-01 00:00:04 UTC,purchase,1004775,2053013555631882655,a.b,xiaomi,183.27,521,81e5\n",
        LogOptions(positive="purchase"),
        [
            event("541312140", "44600062", 0, 1_569_888_000_000, "view", category="2103807459595387724"),
            event("521", "1004775", 1, 1_569_888_004_000, "purchase", category="2053013555631882655"),
        ],
    ),
    "RecBole atomic": (
        "ml-100k.inter",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n186\t302\t5\t881250950.0\n",
        LogOptions(positive="rating>=4"),
        [event("196", "242", 0, 881_250_949_000), event("186", "302", 1, 881_250_950_000)],
    ),
    "Gorse feedback": (
        "feedback.csv",
        "feedback_type,user_id,item_id,time_stamp\nread,1,34,2020-02-01 00:00:00 +0000 UTC\n"
        "star,1,35,2020-02-01 00:00:01 +0000 UTC\n",
        LogOptions(positive="star"),
        [event("1", "34", 0, 1_580_515_200_000, "read"), event("1", "35", 1, 1_580_515_201_000, "star")],
    ),
    "MIND": (
        "behaviors.tsv",
        "1\tU13740\t11/11/2019 9:05:58 AM\tN55189 N42782\tN55689-1 N35729-0\n"
        "2\tU91836\t11/13/2019 6:11:30 PM\t\tN20678-0\n",
        LogOptions(("user_id=2", "timestamp=3", "item_id=5")),
        [
            event("U13740", "N55689", 1, 1_573_463_158_000),
            event("U13740", "N35729", 0, 1_573_463_158_000),
            event("U91836", "N20678", 0, 1_573_668_690_000),
        ],
    ),
    "Online Retail": (
        "online_retail.csv",
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "536365,85123A,LAMP,6,12/13/2010 8:26,2.55,17850,UK\n536366,71053,CUP,-1,12/13/2010 8:28,1.85,17850,UK\n",
        LogOptions(positive="Quantity>0"),
        [event("17850", "85123A", 1, 1_292_228_760_000), event("17850", "71053", 0, 1_292_228_880_000)],
    ),
    "no suffix, decimal commas": (
        "export",
        "user;item;rating;time\nu;i;4,5;1500000000,25\nu;j;2,0;1500000001\n",
        LogOptions(positive="rating>=4"),
        [event("u", "i", 1, 1_500_000_000_250), event("u", "j", 0, 1_500_000_001_000)],
    ),
    "JSON Lines without a suffix": (
        "events",
        '{"username":"u","item":"i","clicked":false,"played_at":"2020-01-01T00:00:00Z"}\n',
        LogOptions(positive="clicked=false"),
        [event("u", "i", 1, 1_577_836_800_000)],
    ),
    "types and words in any case": (
        "a.csv",
        f"user,item,event,time\nu,i,Purchase,{T}\nu,i,VIEW,{T}\n",
        LogOptions(positive="purchase"),
        [event("u", "i", 1, T, "Purchase"), event("u", "i", 0, T, "VIEW")],
    ),
    "Excel, German": (
        "Export.csv",
        "sep=;\r\nBenutzer;Item ID;Kategorie;Time;Label\r\n"
        "u1;i;;01.02.2020 13:00:05;ja\r\nu2;i;c;13.02.2020 13:00:05;nein\r\n",
        LogOptions(("user_id=Benutzer", "category_id=Kategorie"), positive="Label=ja", time_zone="Europe/Berlin"),
        [event("u1", "i", 1, 1_580_558_405_000), event("u2", "i", 0, 1_581_595_205_000, category="c")],
    ),
    "nested JSON": (
        "a.jsonl",
        '{"user":{"id":7},"item_id":"i","event":{"at":"2020-01-01T00:00:00+01:00"},"clicked":true}\n',
        LogOptions(("user_id=user.id", "timestamp=event.at")),
        [event("7", "i", 1, 1_577_833_200_000)],
    ),
    "upper case, bars, yes and no": (
        "a.txt",
        "USER|ITEM|TS|CLICK|CATEGORY\nu|i|1.5e9|yes|c\nu|j|1500000001.25|No|\n",
        LogOptions(),
        [event("u", "i", 1, 1_500_000_000_000, category="c"), event("u", "j", 0, 1_500_000_001_250)],
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_published_layout_is_read_with_what_its_user_says(name: str, tmp_path: Path) -> None:
    file_name, text, options, wanted = LAYOUTS[name]
    path = tmp_path / file_name
    path.write_text(text, newline="")
    found = load_log(path, options)
    assert found.select("user_id", "item_id", "category_id", "event_type", "label", "timestamp").rows() == wanted


def write(tmp_path: Path, text: str, name: str = "a.csv") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


UNCERTAIN = {
    "ratings as label": (
        "user_id,item_id,label,timestamp\n" + "".join(f"u,i,{n % 5 + 1},{T + n}\n" for n in range(20)),
        "--positive 'label>=4'",
    ),
    "ratings": (
        "userId,movieId,rating,timestamp\n" + "".join(f"u,i,{n % 5 + 1},{T + n}\n" for n in range(20)),
        "--positive 'rating>=4'",
    ),
    "-1 and 1": (f"user,item,label,time\nu,i,-1,{T}\nu,i,1,{T}\nu,i,-1,{T}\n", "--positive 'label>=1'"),
    "words": (f"user,item,label,time\nu,i,good,{T}\nu,i,bad,{T}\n", "--positive 'label=good'"),
    "no label, types": (
        f"user,item,event,time\nu,i,view,{T}\nu,i,view,{T}\nu,i,addtocart,{T}\nu,i,transaction,{T}\n",
        "--positive addtocart,transaction",
    ),
    "no label at all": (f"user,item,time\nu,i,{T}\n", "--positive all"),
    "no label, numbers": (
        "user,item,time,name,watched\n" + "".join(f"u,i,{T + n},x,{n}\n" for n in range(11)),
        "--positive 'watched>=8'",
    ),
    "one user twice": (f"user,item,user,label,time\nu,i,u,1,{T}\n", "column user more than once"),
    "no header": (f"u,i,1,{T}\n", "begins with values"),
    "no header, but words": ("u,i,yes,now\n", "--column user_id=NAME"),
    "two users": (f"userId,userid,item,label,time\nu,v,i,1,{T}\n", "--column user_id=userId"),
    "mixed units": ("user,item,label,time\n" + f"u,i,1,{T}\n" * 5 + f"u,i,1,{T // 1000}\n" * 5, "--time-unit s"),
    "day or month": ("user,item,label,time\nu,i,1,01/02/2020 10:00:00\nu,i,1,03/04/2020 10:00:00\n", "'%m/%d/%Y"),
    "year and month, or a day": (
        "user,item,label,time\nu,i,1,200101\nu,i,1,200102\n",
        "'%Y%m' or --time-format '%y%m%d'",
    ),
    "row numbers": ("user,item,label,time\n" + "".join(f"u,i,1,{n}\n" for n in range(20_000)), "--time-unit"),
    "seconds since the beginning": (
        "user,item,label,time\n" + "".join(f"u,i,1,{40 * n}\n" for n in range(10_000)),
        "--time-unit",
    ),
    "days since year 1": ("user,item,label,time\nu,i,1,738000\nu,i,1,738001\n", "--time-unit"),
    "day or month of a short year": ("user,item,label,time\nu,i,1,01/02/20\nu,i,1,03/04/20\n", "'%m/%d/%y'"),
    "no time": ("user,item,label,time\nu,i,1,soon\nu,i,1,later\n", "--time-format"),
}


@pytest.mark.parametrize("name", UNCERTAIN)
def test_what_is_not_certain_stops_with_a_command_that_would_work(name: str, tmp_path: Path) -> None:
    text, says = UNCERTAIN[name]
    with pytest.raises(InputError) as failed:
        EventLog(write(tmp_path, text))
    assert says in str(failed.value) and "a.csv" in str(failed.value) and "\n" not in str(failed.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (LogOptions(("user=1",)), "--column user=1"),
        (LogOptions(("user_id=nobody",)), "it has user, item, label, time"),
        (LogOptions(time_zone="Mars"), "--time-zone Mars"),
        (LogOptions(positive="label>=good"), "no number"),
        (LogOptions(positive="buy"), "--column event_type"),
        (LogOptions(positive="label=>1"), "no comparison: write COLUMN>=VALUE"),
        (LogOptions(positive=">=1"), "no comparison: write COLUMN>=VALUE"),
    ],
)
def test_options_that_cannot_be_meant_are_one_line(options: LogOptions, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says.replace("+", ".")):
        EventLog(write(tmp_path, f"user,item,label,time\nu,i,1,{T}\n"), options)


@pytest.mark.parametrize(
    ("positive", "labels"),
    [
        ("event!=view", [0, 1, 1]),
        ("event <> view", [0, 1, 1]),
        ("event==add to cart", [0, 1, 0]),
        ("stars!=4", [1, 0, 1]),
        ("stars == 4.0", [0, 1, 0]),
        ("liked!=no", [0, 1, 1]),
    ],
)
def test_other_signs_of_a_comparison_mean_what_they_say(positive: str, labels: list[int], tmp_path: Path) -> None:
    rows = f"u,i,view,3,no,{T}\nu,i,Add to cart,4,yes,{T}\nu,i,buy,5,yes,{T}\n"
    path = write(tmp_path, f"user,item,event,stars,liked,time\n{rows}")
    assert load_log(path, LogOptions(positive=positive))["label"].to_list() == labels


def test_what_was_taken_for_what_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, f"visitorid,itemid,event,timestamp\nu,i,buy,{T // 1000}\n")
    assert str(EventLog(path, LogOptions(positive="buy"))) == (
        f"{path}: user_id=visitorid, item_id=itemid, event_type=event, timestamp; times in seconds; "
        "positive where event_type is buy"
    )


def test_a_span_nobody_means_and_positives_only_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, "user,item,label,time\nu,i,1,5\n")
    (years, positives) = survey(path, LogOptions(time_unit="ms")).notes("a.csv")
    assert "1970" in years and "coda data get a.csv --negatives 2" in positives
    path = write(tmp_path, f"user,item,label,time\nu,i,1,{32_503_680_000_000}\n")
    far = survey(path, LogOptions(time_unit="ms"))
    assert "3000" in far.notes("a.csv")[0]


def test_duplicates_are_counted_across_batches_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.logs.blocks._BLOCK_BYTES", 64)
    path = write(tmp_path, "user,item,label,time\n" + f"u,i,1,{T}\n" * 40 + f"u,j,1,{T}\nu,i,0,{T + 1}\n")
    found = survey(path)
    assert (found.events, found.duplicates) == (42, 39)
    assert any("39 events are like another one" in note for note in found.notes("a.csv"))


def test_items_with_labels_of_their_own_need_no_positive(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="drop --positive"):
        EventLog(write(tmp_path, f"user,item,time\nu,i-1 j-0,{T}\n"), LogOptions(positive="all"))

"""Evidence beside ClickHouse (`chdb`) and DuckDB, both from PyPI. Run by `cargo xtask bench store`.

    bench.py inputs FOLDER --panoptes BIN --corpora FOLDER --windows N --nginx N
    bench.py ingest clickhouse|duckdb FOLDER
    bench.py ask clickhouse|duckdb FOLDER
    bench.py run PROGRAM ARGUMENT…

`run` prints what a program cost. `inputs` writes `windows.jsonl` and `nginx.log` into the folder and `queries.json`: what is asked, in the language of
each. `ingest` and `ask` print one JSON object a line. The peers keep eleven columns of Windows events (the time, host,
channel, event id, image, command line, user, both addresses, message and the line) and nine of nginx's.
"""

import argparse
import datetime
import json
import pathlib
import random
import re
import resource
import subprocess
import sys
import time
import zipfile

# Words that no line has by itself.
RARE = "zebrafinchnest"
ABSENT = "xylophonistically"
RARE_LINES = 3
# How often each question is asked of a cold and of a warm store.
COLD, WARM = 3, 7
DATE = re.compile(rb"20\d\d-\d\d-\d\d")


def windows_lines(corpora):
    """Every event of security-datasets, as its line."""
    folder = pathlib.Path(corpora) / "security-datasets"
    for path in sorted(folder.rglob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if not name.endswith(".json"):
                    continue
                for line in archive.read(name).splitlines():
                    if line.startswith(b"{") and b'"EventID"' in line:
                        yield line


def write_windows(path, corpora, wanted):
    lines = list(windows_lines(corpora))
    if not lines:
        sys.exit(f"no events below {corpora}/security-datasets")
    dates = {}

    def moved(days):
        def one(found):
            known = dates.get((found[0], days))
            if known is None:
                try:
                    day = datetime.date.fromisoformat(found[0].decode()) + datetime.timedelta(days=days)
                    known = day.isoformat().encode()
                except ValueError:
                    known = found[0]
                dates[(found[0], days)] = known
            return known
        return one

    rare = set(random.Random(1).sample(range(wanted), RARE_LINES))
    with open(path, "wb") as out:
        for number in range(wanted):
            days, index = divmod(number, len(lines))
            line = DATE.sub(moved(days), lines[index]) if days else lines[index]
            if number in rare:
                line = line.replace(b'"Message":"', b'"Message":"' + RARE.encode() + b" ", 1)
                if RARE.encode() not in line:
                    line = line[:-1] + b',"Note":"' + RARE.encode() + b'"}'
            out.write(line + b"\n")


def write_nginx(path, panoptes, wanted):
    """Generated lines, spread over thirty days."""
    made = path.with_suffix(".made")
    command = [panoptes, "generate", "--kind", "nginx", "--rate", "0", "--seed", "7", "--count", str(wanted)]
    subprocess.run([*command, "--no-anomalies", "--to", f"file:{made}"], check=True, stderr=subprocess.DEVNULL)
    first = datetime.datetime(2026, 10, 1, tzinfo=datetime.timezone.utc).timestamp()
    step = 30 * 86_400 / wanted
    rare = set(random.Random(2).sample(range(wanted), RARE_LINES))
    stamp, second = b"", None
    with open(made, "rb") as lines, open(path, "wb") as out:
        for number, line in enumerate(lines):
            now = int(first + number * step)
            if now != second:
                second = now
                stamp = time.strftime("[%d/%b/%Y:%H:%M:%S +0000]", time.gmtime(now)).encode()
            start = line.index(b"[")
            line = line[:start] + stamp + line[line.index(b"]") + 1:]
            if number in rare:
                line = line.replace(b" HTTP/1.1", b"/" + RARE.encode() + b" HTTP/1.1", 1)
            out.write(line)
    made.unlink()


def common(path, pattern):
    """A value in the middle of the file: an address that is asked for."""
    size = path.stat().st_size
    with open(path, "rb") as lines:
        lines.seek(size // 2)
        for line in lines:
            found = re.search(pattern, line)
            if found:
                return found[1].decode()
    sys.exit(f"{path}: nothing matches {pattern}")


def queries(folder):
    """Name, kind of input, ours, and SQL for the peers, over table `windows` or `nginx`."""
    visitor = common(folder / "nginx.log", rb"^(\d+\.\d+\.\d+\.\d+) ")
    target = common(folder / "windows.jsonl", rb'"DestinationIp":"(\d+\.\d+\.\d+\.\d+)"')
    newest = "order by time desc limit 50"

    def words(word):
        return {
            "clickhouse": f"hasTokenCaseInsensitive(original, '{word}')",
            "duckdb": f"regexp_matches(original, '(?i)\\b{word}\\b')",
        }

    def both(condition):
        return {"clickhouse": condition, "duckdb": condition}

    def rows(name, table, query, conditions):
        return {
            # What the peers give, too: whole events have hundreds of fields.
            "name": name, "table": table, "query": f"{query} | fields @timestamp, event.original | limit 50",
            **{peer: f"select time, original from {table} where {it} {newest}" for peer, it in conditions.items()},
        }

    def table(name, table, query, **peers):
        return {"name": name, "table": table, "query": query, **peers}

    hour = {"clickhouse": "toStartOfHour(time)", "duckdb": "date_trunc('hour', time)"}
    asked = []
    for kind, common_word in [("windows", "powershell"), ("nginx", "firefox")]:
        dataset = "event.dataset:windows*" if kind == "windows" else "event.dataset:nginx.access"
        asked += [
            rows("a rare word", kind, f"{dataset} {RARE}", words(RARE)),
            rows("an absent word", kind, f"{dataset} {ABSENT}", words(ABSENT)),
            rows("a common word, newest 50", kind, f"{dataset} {common_word}", words(common_word)),
        ]
    asked += [
        rows("one address", "windows", f"destination.ip:{target}", both(f"destination_ip = '{target}'")),
        rows("one address", "nginx", f"event.dataset:nginx.access source.ip:{visitor}", both(f"source_ip = '{visitor}'")),
        rows("a substring", "windows", "event.dataset:windows* *lsass.ex*", {
            "clickhouse": "original ilike '%lsass.ex%'", "duckdb": "original ilike '%lsass.ex%'"}),
        rows("a substring", "nginx", "event.dataset:nginx.access *table-38*", {
            "clickhouse": "original ilike '%table-38%'", "duckdb": "original ilike '%table-38%'"}),
        rows("a regular expression", "nginx", r"event.dataset:nginx.access /q=k[a-z]+&page=[5-9]&/", {
            "clickhouse": r"match(original, 'q=k[a-z]+&page=[5-9]&')",
            "duckdb": r"regexp_matches(original, 'q=k[a-z]+&page=[5-9]&')"}),
        table("top 10 of a field", "windows", "event.dataset:windows* | top 10 winlog.channel",
              **both("select channel a, count(*) n from windows group by a order by n desc, a limit 10")),
        table("top 10 of a field", "nginx", "event.dataset:nginx.access | top 10 source.ip",
              **both("select source_ip a, count(*) n from nginx group by a order by n desc, a limit 10")),
        *[table("count by hour", kind, f"event.dataset:{dataset} | timechart 1h",
                **{peer: f"select {it} h, count(*) from {kind} group by h order by h" for peer, it in hour.items()})
          for kind, dataset in [("windows", "windows*"), ("nginx", "nginx.access")]],
        table("count distinct", "windows", "event.dataset:windows* | stats distinct(host.name)",
              **both("select count(distinct host) from windows")),
        table("count distinct", "nginx", "event.dataset:nginx.access | stats distinct(source.ip)",
              **both("select count(distinct source_ip) from nginx")),
        table("two fields, filtered", "nginx",
              "event.dataset:nginx.access http.response.status_code:>=400 "
              "| count by http.request.method, http.response.status_code",
              **both("select method m, status s, count(*) n from nginx where status >= 400 group by m, s order by n desc, m, s")),
    ]
    return asked


class ClickHouse:
    def __init__(self, folder):
        from chdb import session
        self.folder = folder / "clickhouse"
        self.session = session.Session(str(self.folder))
        self.session.query("create database if not exists bench")

    def tables(self):
        return ("bench.windows", "bench.nginx")

    def run(self, sql):
        return str(self.session.query(sql.replace(" windows ", " bench.windows ").replace(" nginx ", " bench.nginx "), "JSONCompactEachRow"))

    def ask(self, sql):
        return [json.loads(it) for it in self.run(f"{sql} ").splitlines()]

    def ingest(self, windows, nginx):
        self.run("""create table windows (time DateTime64(6, 'UTC'), host LowCardinality(String), channel LowCardinality(String),
            event_id UInt32, image String, command_line String, user String, source_ip String, destination_ip String,
            message String, original String) engine MergeTree order by time""")
        def text(name):
            return f"JSONExtractString(line, '{name}')"
        self.run(f"""insert into windows select
            parseDateTime64BestEffortOrZero({text('@timestamp')}, 6, 'UTC'), {text('Hostname')}, {text('Channel')},
            JSONExtractUInt(line, 'EventID'), {text('Image')}, {text('CommandLine')}, {text('User')}, {text('SourceIp')},
            {text('DestinationIp')}, {text('Message')}, line
            from file('{windows}', LineAsString, 'line String')""")
        self.run("""create table nginx (time DateTime('UTC'), source_ip String, user String, method LowCardinality(String),
            path String, status UInt16, bytes UInt64, user_agent String, original String) engine MergeTree order by time""")
        pattern = r'^(\\S+) - (\\S+) \\[([^\\]]+)\\] "(\\S+) (\\S+) [^"]*" (\\d+) (\\d+) "[^"]*" "([^"]*)"'
        self.run(f"""insert into nginx select parseDateTimeBestEffortOrZero(replaceOne(p[3], ':', ' '), 'UTC'), p[1], p[2], p[4],
            p[5], toUInt16OrZero(p[6]), toUInt64OrZero(p[7]), p[8], line
            from (select line, extractGroups(line, '{pattern}') p from file('{nginx}', LineAsString, 'line String'))""")

    def settle(self):
        for name in self.tables():
            self.run(f"optimize table {name} final")

    def count(self):
        return {it: self.ask(f"select count() from bench.{it}")[0][0] for it in ("windows", "nginx")}

    def bytes(self):
        sql = "select table, sum(bytes_on_disk) from system.parts where active and database = 'bench' group by table"
        return {name: int(size) for name, size in self.ask(sql)}


class DuckDb:
    def __init__(self, folder):
        import duckdb
        self.path = folder / "duckdb.db"
        self.db = duckdb.connect(str(self.path))
        self.db.execute("set timezone = 'UTC'")
        self.db.execute("set memory_limit = '8GB'")

    def run(self, sql):
        return self.db.execute(sql)

    def ask(self, sql):
        return [list(map(str, row)) for row in self.db.execute(sql).fetchall()]

    def ingest(self, windows, nginx):
        def text(name):
            return f"json_extract_string(line, '$.\"{name}\"')"
        lines = "read_csv('{}', delim='\\x1e', quote='', escape='', header=false, columns={{'line': 'varchar'}}, auto_detect=false, max_line_size=16777216)"
        self.run(f"""create table windows as select try_cast({text('@timestamp')} as timestamp) as time, {text('Hostname')} host,
            {text('Channel')} channel, try_cast({text('EventID')} as uinteger) event_id, {text('Image')} image,
            {text('CommandLine')} command_line, {text('User')} "user", {text('SourceIp')} source_ip,
            {text('DestinationIp')} destination_ip, {text('Message')} message, line original
            from {lines.format(windows)} order by time""")
        pattern = r'^(\S+) - (\S+) \[([^\]]+)\] "(\S+) (\S+) [^"]*" (\d+) (\d+) "[^"]*" "([^"]*)"'
        names = "['ip', 'user', 'time', 'method', 'path', 'status', 'bytes', 'agent']"
        self.run(f"""create table nginx as select strptime(p.time, '%d/%b/%Y:%H:%M:%S %z')::timestamp as time, p.ip source_ip,
            p."user" "user", p.method method, p.path path, try_cast(p.status as usmallint) status,
            try_cast(p.bytes as ubigint) bytes, p.agent user_agent, line original
            from (select line, regexp_extract(line, '{pattern}', {names}) p from {lines.format(nginx)}) order by time""")

    def settle(self):
        self.run("checkpoint")

    def count(self):
        return {it: self.ask(f"select count(*) from {it}")[0][0] for it in ("windows", "nginx")}

    def bytes(self):
        return {"all": self.path.stat().st_size}


PEERS = {"clickhouse": ClickHouse, "duckdb": DuckDb}


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def ingest(peer, folder):
    store = PEERS[peer](folder)
    before, started = cpu(), time.monotonic()
    store.ingest(folder / "windows.jsonl", folder / "nginx.log")
    taken = cpu() - before
    store.settle()
    print(json.dumps({
        "peer": peer, "cpu": cpu() - before, "cpu_before_settling": taken, "seconds": time.monotonic() - started,
        "rows": store.count(), "bytes": store.bytes(),
    }), flush=True)


def drop_caches():
    """False if only root may."""
    subprocess.run(["sync"], check=True)
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        return True
    except OSError:
        return False


def ask(peer, folder):
    for question in json.loads((folder / "queries.json").read_text()):
        times = {"cold": [], "warm": []}
        for _ in range(COLD):
            # Everything anew: what it keeps in memory is no help.
            store = PEERS[peer](folder)
            if not drop_caches():
                break
            started = time.monotonic()
            answer = store.ask(question[peer])
            times["cold"].append(time.monotonic() - started)
            close(store)
        store = PEERS[peer](folder)
        for _ in range(WARM):
            started = time.monotonic()
            answer = store.ask(question[peer])
            times["warm"].append(time.monotonic() - started)
        close(store)
        print(json.dumps({"peer": peer, "name": question["name"], "table": question["table"], **times,
                          "rows": len(answer), "first": answer[:1], "last": answer[-1:]}), flush=True)


def close(store):
    if isinstance(store, ClickHouse):
        store.session.close()
    else:
        store.db.close()


def run(command):
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"cpu": used.ru_utime + used.ru_stime, "seconds": time.monotonic() - started,
                      "peak_kb": used.ru_maxrss}))


def main():
    if sys.argv[1:2] == ["run"]:
        return run(sys.argv[2:])
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["inputs", "ingest", "ask"])
    parser.add_argument("arguments", nargs="+")
    parser.add_argument("--panoptes")
    parser.add_argument("--corpora")
    parser.add_argument("--windows", type=int, default=1_500_000)
    parser.add_argument("--nginx", type=int, default=10_000_000)
    given = parser.parse_args()
    folder = pathlib.Path(given.arguments[-1])
    if given.what == "inputs":
        write_windows(folder / "windows.jsonl", given.corpora, given.windows)
        write_nginx(folder / "nginx.log", given.panoptes, given.nginx)
        (folder / "queries.json").write_text(json.dumps(queries(folder), indent=1))
    elif given.what == "ingest":
        ingest(given.arguments[0], folder)
    else:
        ask(given.arguments[0], folder)


main()

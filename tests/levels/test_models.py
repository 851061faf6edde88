"""Models by name: the published ones, registered files, downloads and their checksums."""

import ast
import contextlib
import inspect
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mscflow.builder import precursor
from mscflow.errors import DownloadError, InputError
from mscflow.levels import MACE, parse_level
from mscflow.levels.potentials.domain import domain_file
from mscflow.levels.potentials.fetch import add_model, fetch_model, find_foundation_model, remove_model
from mscflow.levels.potentials.foundation import FoundationModel, foundation_models
from mscflow.levels.potentials.library import data_directory, load_library, save_library
from mscflow.levels.potentials.registry import file_checksum, find_model, known_models, shipped_models
from mscflow.tasks.relax import relax

SHIPPED = shipped_models()["msc-small"]


@pytest.fixture(autouse=True)
def own_directories(tmp_path, monkeypatch):
    monkeypatch.setenv("MSCFLOW_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Handler(BaseHTTPRequestHandler):
    """Serve the shipped model in the ways in which servers do and do not."""

    def do_GET(self):
        content = SHIPPED.path.read_bytes()
        self.server.requests.append(self.path)
        if self.path == "/gone.model":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path == "/page.model" else "application/zip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # a client that has seen enough hangs up
            self.wfile.write(content[:1000] if self.path == "/cut.model" else content)

    def do_CONNECT(self):
        self.server.requests.append(self.path)
        self.send_error(503)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.requests = []
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def served(server, file="whole.model"):
    url = f"http://127.0.0.1:{server.server_address[1]}/{file}"
    return FoundationModel(
        name="small", family="test", url=url, elements=SHIPPED.elements, teacher="gfn2-xtb", licence="MIT"
    )


def test_names_and_addresses_are_those_of_mace_torch():
    from mace.calculators import foundations_models as mace_torch

    theirs = {
        **mace_torch.mace_mp_urls,
        **{f"{size}_off": url for size, url in mace_torch.mace_off_urls.items()},
        **mace_torch.polar_model_urls,
    }
    for name, function in (("mace_omol", mace_torch.mace_omol), ("mace_anicc", mace_torch.mace_anicc)):
        literals = [
            node.value
            for node in ast.walk(ast.parse(inspect.getsource(function)))
            if isinstance(node, ast.Constant) and str(node.value).endswith(".model")
        ]
        theirs[name] = next(text for text in literals if text.startswith("https:"))
    assert {model.name: model.url for model in foundation_models().values()} == theirs


def test_files_are_where_mace_torch_looks_for_them():
    from mace.calculators.foundations_models import download_mace_mp_checkpoint, polar_model_urls
    from mace.tools.utils import get_cache_dir

    model = foundation_models()["medium-mpa-0"]
    assert model.path.parent == get_cache_dir()
    model.path.parent.mkdir(parents=True)
    model.path.write_bytes(b"the file that is in the cache")
    assert download_mace_mp_checkpoint("medium-mpa-0") == str(model.path)
    assert {m.name for m in foundation_models().values() if m.family == "MACE-POLAR-1"} == set(
        polar_model_urls
    )


def test_the_list_names_every_kind_and_downloads_nothing(server, monkeypatch):
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.server_address[1]}")
    models = known_models()
    assert models["msc-small"].present
    assert models["msc-small"].size == SHIPPED.path.stat().st_size
    absent = models["mace_omol"]
    assert not absent.present
    assert absent.sha256 is None
    assert absent.reads_charge
    assert "ASL" in absent.licence
    assert "In" in absent.elements
    assert len(models["medium-mpa-0"].elements) == 89
    assert server.requests == []
    with pytest.raises(DownloadError, match="cannot be downloaded"):
        fetch_model(find_foundation_model("small"))
    assert server.requests == ["github.com:443"]


def test_a_foundation_model_is_a_level_before_it_is_here():
    level = parse_level("mace:medium-mpa-0")
    assert level.text == "mace:medium-mpa-0"
    assert "PBE" in level.description
    with pytest.raises(InputError, match="not on this machine: mscflow models fetch medium-mpa-0"):
        level.require(precursor("Zn2+"))
    with pytest.raises(InputError, match="mscflow models fetch"):
        _ = level.hash
    with pytest.raises(InputError, match="was not trained on Zn"):
        parse_level("mace:medium_off").require(precursor("Zn2+"))
    with pytest.raises(InputError, match="that family has medium-mpa-0"):
        parse_level("mace:MACE-MPA-0").require(precursor("Zn2+"))


def test_a_fetched_model_has_its_checksum_on_record_and_gives_the_same_energy(server):
    seen = []
    checksum = fetch_model(served(server), progress=lambda done, total: seen.append((done, total)))
    assert checksum == SHIPPED.sha256
    assert seen[-1] == (SHIPPED.path.stat().st_size,) * 2
    assert load_library().fetched == {"small": checksum}
    again = fetch_model(served(server))
    assert again == checksum
    assert server.requests == ["/whole.model"]
    left = [path.name for path in served(server).path.parent.iterdir()]
    assert left == [served(server).path.name]


def test_what_is_registered_during_a_download_stays(server):
    def register(*_):
        library = load_library()
        library.fetched["other"] = "0" * 64
        save_library(library)

    checksum = fetch_model(served(server), progress=register)
    assert load_library().fetched == {"other": "0" * 64, "small": checksum}


def test_a_fetched_foundation_model_runs_without_trust(server, monkeypatch):
    model = served(server, "20231210mace128L0_energy_epoch249model")
    assert model.path == foundation_models()["small"].path
    fetch_model(model)
    cluster = precursor("Zn2+")
    atoms = cluster.to_ase()
    energies = []
    for level in ("mace:small", "mace:msc-small"):
        atoms.calc = parse_level(level).calculator(cluster)
        energies.append(atoms.get_potential_energy())
    assert energies[0] == pytest.approx(energies[1], abs=1e-9)
    model.path.write_bytes(model.path.read_bytes() + b"\0")
    with pytest.raises(InputError, match="has SHA-256 .* expected"):
        parse_level("mace:small").calculator(cluster)
    with pytest.raises(InputError, match="was recorded: delete it"):
        fetch_model(model)


def test_a_second_download_must_have_the_checksum_of_the_first(server):
    model = served(server)
    fetch_model(model)
    model.path.unlink()
    library = load_library()
    library.fetched["small"] = "0" * 64
    save_library(library)
    with pytest.raises(DownloadError, match="was recorded before"):
        fetch_model(model)
    assert not model.path.exists()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("gone.model", "the server says 404"),
        ("page.model", "a web page instead of a model"),
        ("cut.model", "the connection ended after 1000 of"),
    ],
)
def test_a_bad_download_leaves_nothing_behind(server, file, message):
    model = served(server, file)
    with pytest.raises(DownloadError, match=message):
        fetch_model(model)
    assert list(model.path.parent.iterdir()) == []
    assert load_library().fetched == {}


def test_a_file_in_the_cache_that_nobody_vouches_for_is_not_loaded():
    model = find_foundation_model("small")
    model.path.parent.mkdir(parents=True)
    model.path.write_bytes(SHIPPED.path.read_bytes())
    with pytest.raises(InputError, match=r"pass --trust .*: `mscflow models fetch small --trust`"):
        parse_level("mace:small").calculator(precursor("Zn2+"))
    with pytest.raises(InputError, match="was there before: pass --trust"):
        fetch_model(model)
    assert fetch_model(model, trust=True) == SHIPPED.sha256
    assert parse_level("mace:small").calculator(precursor("Zn2+")) is not None


def test_a_registered_file_is_used_by_name(tmp_path):
    file = tmp_path / "some.model"
    file.write_bytes(SHIPPED.path.read_bytes())
    message = r"pass --trust .*: `mscflow models add .*some\.model --name NAME --trust`, then mace:NAME"
    with pytest.raises(InputError, match=message):
        parse_level(f"mace:{file}").calculator(precursor("Zn2+"))
    domain_file(file).write_bytes(b"what its training frames look like")
    with pytest.raises(InputError, match="pass --trust"):
        add_model(file, "mine")
    entry = add_model(file, "mine", trust=True, licence="CC-BY-4.0")
    assert set(entry.elements) == set(SHIPPED.elements)
    assert not entry.reads_charge
    assert domain_file(entry.path).read_bytes() == domain_file(file).read_bytes()
    domain_file(entry.path).unlink()
    file.unlink()
    results = [relax(precursor("Zn2+"), level, fmax=0.1) for level in ("mace:mine", "mace:msc-small")]
    assert results[0].energy == pytest.approx(results[1].energy, abs=1e-8)
    assert known_models()["mine"].licence == "CC-BY-4.0"
    remove_model("mine")
    assert not entry.path.exists()
    with pytest.raises(InputError, match="unknown model 'mine'"):
        find_model("mine")


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 65, "semi;colon", "new\nline", "a@b"])
def test_names_never_become_paths(name):
    with pytest.raises(InputError, match="cannot be the name of a model"):
        add_model(SHIPPED.path, name, trust=True)
    assert not data_directory().exists()


@pytest.mark.parametrize("name", ["msc-small", "small", "mine"])
def test_a_name_means_one_model(name):
    add_model(SHIPPED.path, "mine", trust=True)
    with pytest.raises(InputError, match="there is a model"):
        add_model(SHIPPED.path, name, trust=True)


def test_a_damaged_library_is_explained():
    data_directory().mkdir()
    (data_directory() / "models.json").write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        known_models()
    assert find_model("msc-small").present  # what is shipped needs no library


def test_an_untouched_level_keeps_its_hash_when_a_model_is_copied(tmp_path):
    copy = tmp_path / "copy.model"
    copy.write_bytes(SHIPPED.path.read_bytes())
    assert MACE(model=str(copy), trusted_sha256=file_checksum(copy)).hash == MACE().hash

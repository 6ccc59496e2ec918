package e2e

import (
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"
)

// developmentChain is what a process says that was started for production on a chain whose money is worth nothing.
const developmentChain = "RPC of eip155:84532 is a development chain: its money is worth nothing"

// service is one process of a deployment, as its supervisor would start it.
type service struct {
	name    string
	command []string // after the binary
	env     map[string]string
}

// deployment is a way to run the shop that the project ships.
type deployment struct {
	binary   string
	services []service
}

func (d deployment) service(t *testing.T, name string) service {
	t.Helper()
	for _, s := range d.services {
		if s.name == name {
			return s
		}
	}
	require.Failf(t, "no such service", "%s is not among %v", name, d.services)
	return service{}
}

// over are the variables that stand for the machine a test runs on; everything else is the deployment's own.
func (s service) over(vars map[string]string) service {
	env := maps.Clone(s.env)
	for name, value := range vars {
		if name != "RELAYER_KEY" || slices.Contains(s.command, "worker") {
			env[name] = value
		}
	}
	s.env = env
	return s
}

// TestDeploymentsRunTheShop starts what docker-compose and systemd would start, as plain processes, and sells through
// them. One after the other: their ports for health checks are those of a machine that runs one shop.
func TestDeploymentsRunTheShop(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(*testing.T) deployment{"docker-compose": composeDeployment, "systemd": systemdDeployment} {
		t.Run(name, func(t *testing.T) {
			d := read(t)
			w := startChainAndDatabase(t)
			dropSchema(t, w.database(t))
			site := freePort()
			w.BaseURL = fmt.Sprintf("http://localhost:%d", site)
			vars := map[string]string{
				"DATABASE_URL": w.database(t), "RPC_URL_84532": w.value("DEV_RPC_PORT", "http://127.0.0.1:%s"),
				"PUBLIC_URL": w.BaseURL, "PORT": fmt.Sprint(site), "MASTER_KEY": crashMaster, "RELAYER_KEY": "",
				"XSYNESIS_ENV": "development", "ALLOW_PRIVATE_TARGETS": "true",
			}
			migrate := d.service(t, "migrate").over(vars)
			out, err := d.run(w, migrate)
			require.NoError(t, err, out)
			w.Env = w.with("PUBLIC_URL="+w.BaseURL, fmt.Sprintf("PORT=%d", site), "MASTER_KEY="+crashMaster)
			w.seed(t)
			vars["RELAYER_KEY"] = w.RelayerKey
			for _, role := range []string{"web", "worker", "webhook-dispatcher"} {
				s := d.service(t, role).over(vars)
				require.Equal(t, role == "worker", s.env["RELAYER_KEY"] != "", "the key that moves money is the worker's alone")
				w.startPath(t, s.environ(), d.binary, s.command...)
			}
			w.awaitReady(t)
			flow(t, w)
			require.NoError(t, w.audit())
		})
	}
}

// TestDeploymentsRefuseTheDevelopmentChain starts every process with its own environment, which is production's.
func TestDeploymentsRefuseTheDevelopmentChain(t *testing.T) {
	t.Parallel()
	w := startChainAndDatabase(t)
	w.seed(t)
	for name, read := range map[string]func(*testing.T) deployment{"docker-compose": composeDeployment, "systemd": systemdDeployment} {
		t.Run(name, func(t *testing.T) {
			d := read(t)
			for _, role := range []string{"web", "worker", "webhook-dispatcher"} {
				s := d.service(t, role).over(map[string]string{
					"DATABASE_URL": w.database(t), "RPC_URL_84532": w.RPCURL, "PORT": fmt.Sprint(freePort()),
				})
				require.Equal(t, "production", s.env["XSYNESIS_ENV"])
				out, err := d.run(w, s)
				require.Error(t, err, "%s has started: %s", role, out)
				lines := strings.Split(strings.TrimSpace(out), "\n")
				require.Equal(t, developmentChain, lines[len(lines)-1], role)
				require.Equal(t, 1, strings.Count(out, "development chain"), out)
			}
		})
	}
}

// run runs a process to its end.
func (d deployment) run(w *world, s service) (string, error) {
	cmd := exec.Command(d.binary, s.command...)
	cmd.Env, cmd.Dir = s.environ(), w.Dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s service) environ() []string {
	env := []string{"PATH=" + os.Getenv("PATH")}
	for _, name := range slices.Sorted(maps.Keys(s.env)) {
		env = append(env, name+"="+s.env[name])
	}
	return env
}

// database is the database that the world was given.
func (w *world) database(t *testing.T) string {
	t.Helper()
	u := w.value("DATABASE_URL", "%s")
	require.NotEmpty(t, u)
	return u
}

// value formats a variable of the world's environment.
func (w *world) value(name, format string) string {
	for _, v := range slices.Backward(w.Env) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return fmt.Sprintf(format, value)
		}
	}
	return ""
}

// dropSchema leaves an empty database, as a new server has one.
func dropSchema(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // the connection is done with
	_, err = conn.Exec(t.Context(), `DROP SCHEMA public CASCADE; CREATE SCHEMA public`)
	require.NoError(t, err)
}

// settings is .env.server as an operator fills it in from the example.
func settings(t *testing.T) map[string]string {
	t.Helper()
	filled := environmentFile(t, "../.env.server.example")
	for name, value := range map[string]string{
		"PUBLIC_URL": "https://shop.example", "MASTER_KEY": crashMaster, "PG_PASSWORD": "p@ss word",
		"RELAYER_KEY": hexutil.Encode(crypto.FromECDSA(newKey(t))),
	} {
		require.Contains(t, filled, name)
		filled[name] = value
	}
	return filled
}

var assignment = regexp.MustCompile(`(?m)^([A-Z][A-Z0-9_]*)=(.*)$`)

// environmentFile reads what is set in a file of variables.
func environmentFile(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	vars := map[string]string{}
	for _, m := range assignment.FindAllStringSubmatch(string(text), -1) {
		vars[m[1]] = m[2]
	}
	return vars
}

// composeFile is what docker-compose makes of its file.
type composeFile struct {
	Services map[string]struct {
		Image       string         `yaml:"image"`
		Command     []string       `yaml:"command"`
		Environment map[string]any `yaml:"environment"`
		Restart     string         `yaml:"restart"`
		DependsOn   map[string]struct {
			Condition string `yaml:"condition"`
		} `yaml:"depends_on"`
		Healthcheck struct {
			Test []string `yaml:"test"`
		} `yaml:"healthcheck"`
		Logging struct {
			Driver  string            `yaml:"driver"`
			Options map[string]string `yaml:"options"`
		} `yaml:"logging"`
	} `yaml:"services"`
}

// readCompose has docker-compose read the project's file, with these values where it looks for them.
func readCompose(t *testing.T, values map[string]string) composeFile {
	t.Helper()
	program, err := exec.LookPath("docker-compose")
	require.NoError(t, err, "docker-compose is missing: `make test` installs it")
	dir := t.TempDir()
	text, err := os.ReadFile("../docker-compose.yml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "docker-compose.yml"), text, 0o600))
	var lines strings.Builder
	for name, value := range values {
		fmt.Fprintf(&lines, "%s='%s'\n", name, value)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte(lines.String()), 0o600))
	cmd := exec.CommandContext(t.Context(), program, "config")
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, complaints.String())
	require.Empty(t, complaints.String())
	var file composeFile
	require.NoError(t, yaml.Unmarshal(out, &file))
	return file
}

func TestComposeFile(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]map[string]string{"as it is": nil, "filled in": settings(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := readCompose(t, values)
			require.ElementsMatch(t, []string{"postgres", "migrate", "web", "worker", "webhook-dispatcher"}, slices.Collect(maps.Keys(file.Services)))
			for name, s := range file.Services {
				require.Equal(t, "json-file", s.Logging.Driver, name)
				require.Equal(t, map[string]string{"max-size": "10m", "max-file": "3"}, s.Logging.Options, name)
				require.Equal(t, values["RELAYER_KEY"] != "" && name == "worker", s.Environment["RELAYER_KEY"] != nil && s.Environment["RELAYER_KEY"] != "", name)
				if name == "migrate" {
					require.Equal(t, "no", s.Restart)
					continue
				}
				require.Equal(t, "unless-stopped", s.Restart, name)
				require.NotEmpty(t, s.Healthcheck.Test, name)
				if name != "postgres" {
					require.Equal(t, "service_healthy", s.DependsOn["postgres"].Condition, name)
					require.Equal(t, "service_completed_successfully", s.DependsOn["migrate"].Condition, name)
				}
			}
		})
	}
}

// composeDeployment is what the services of docker-compose.yml start: the image's entry point with their commands.
func composeDeployment(t *testing.T) deployment {
	t.Helper()
	path, err := imageBinary()
	require.NoError(t, err)
	d := deployment{binary: path}
	for name, s := range readCompose(t, settings(t)).Services {
		if name == "postgres" {
			continue
		}
		env := map[string]string{}
		for variable, value := range s.Environment {
			env[variable] = fmt.Sprint(value)
		}
		d.services = append(d.services, service{name, s.Command, env})
	}
	return d
}

// systemdDeployment is what the units start, and the command with which the documents have their database migrated.
func systemdDeployment(t *testing.T) deployment {
	t.Helper()
	path, err := binary("xsynesis")
	require.NoError(t, err)
	filled := settings(t)
	worker := map[string]string{"RELAYER_KEY": filled["RELAYER_KEY"]}
	delete(filled, "RELAYER_KEY")
	delete(filled, "PG_PASSWORD")
	files := map[string]map[string]string{"/etc/xsynesis/server.env": filled, "/etc/xsynesis/worker.env": worker}
	d := deployment{binary: path, services: []service{{"migrate", []string{"migrate"}, maps.Clone(filled)}}}
	for unit, name := range map[string]string{"xsynesis-web": "web", "xsynesis-worker": "worker", "webhook-dispatcher": "webhook-dispatcher"} {
		s := readUnit(t, unit, files)
		s.name = name
		d.services = append(d.services, s)
	}
	return d
}

var unitLine = regexp.MustCompile(`(?m)^(ExecStart|Environment|EnvironmentFile)=(.*)$`)

// readUnit reads a unit's command and environment, in the order in which systemd applies them: files win.
func readUnit(t *testing.T, unit string, files map[string]map[string]string) service {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../deploy/systemd", unit+".service"))
	require.NoError(t, err)
	s := service{env: map[string]string{}}
	fromFiles := map[string]string{}
	for _, m := range unitLine.FindAllStringSubmatch(string(text), -1) {
		switch m[1] {
		case "ExecStart":
			fields := strings.Fields(m[2])
			require.Equal(t, "/usr/local/bin/xsynesis", fields[0])
			s.command = fields[1:]
		case "Environment":
			for _, v := range strings.Fields(m[2]) {
				name, value, _ := strings.Cut(v, "=")
				s.env[name] = value
			}
		case "EnvironmentFile":
			require.Contains(t, files, m[2])
			maps.Copy(fromFiles, files[m[2]])
		}
	}
	maps.Copy(s.env, fromFiles)
	return s
}

func TestSystemdUnits(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("systemd-analyze")
	require.NoError(t, err, "systemd-analyze is missing: `make test` installs it")
	xsynesis, err := binary("xsynesis")
	require.NoError(t, err)
	root := t.TempDir()
	for _, dir := range []string{"etc/systemd/system", "usr/lib/systemd/system", "usr/local/bin"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	contents, err := os.ReadFile(xsynesis)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "usr/local/bin/xsynesis"), contents, 0o755))  // a link would lead out of the root
	for _, target := range []string{"sysinit", "basic", "shutdown", "network-online", "multi-user"} { // of every system
		require.NoError(t, os.WriteFile(filepath.Join(root, "usr/lib/systemd/system", target+".target"), []byte("[Unit]\nDescription="+target+"\n"), 0o600))
	}
	units, err := filepath.Glob("../deploy/systemd/*.service")
	require.NoError(t, err)
	require.Len(t, units, 3)
	var names []string
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		require.NoError(t, err)
		names = append(names, filepath.Base(unit))
		require.NoError(t, os.WriteFile(filepath.Join(root, "etc/systemd/system", filepath.Base(unit)), text, 0o600))
	}

	t.Run("systemd finds nothing wrong with them", func(t *testing.T) {
		t.Parallel()
		out, err := exec.CommandContext(t.Context(), program, append([]string{"verify", "--root=" + root}, names...)...).CombinedOutput()
		require.NoError(t, err, string(out))
		require.Empty(t, string(out))
	})

	t.Run("what an attacker could do in one of them is little", func(t *testing.T) {
		t.Parallel()
		for _, unit := range units {
			out, err := exec.CommandContext(t.Context(), program, "security", "--offline=true", "--threshold=15", "--no-pager", unit).CombinedOutput()
			require.NoError(t, err, string(out)) // exposure 1.5 of 10
		}
	})
}

func TestImageBinary(t *testing.T) {
	t.Parallel()
	path, err := imageBinary()
	require.NoError(t, err)
	file, err := elf.Open(path)
	require.NoError(t, err)
	defer file.Close() //nolint:errcheck // nothing was written
	for _, p := range file.Progs {
		require.NotEqual(t, elf.PT_INTERP, p.Type, "an image without a linker cannot start a program that asks for one")
	}
	out, err := exec.CommandContext(t.Context(), path, "version").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "xsynesis 9.8.7 ")
	info, err := os.Stat(path)
	require.NoError(t, err)
	report(t, "the binary of the image has %.1f MB", float64(info.Size())/1e6)
}

package egress_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/egress"
)

// inEmptyNetwork makes this program, started again, call every hostile URL with the real dialer.
const inEmptyNetwork = "EGRESS_TEST_IN_EMPTY_NETWORK"

func TestMain(m *testing.M) {
	if os.Getenv(inEmptyNetwork) != "" {
		os.Exit(callFromNowhere(os.Stdout))
	}
	os.Exit(m.Run())
}

func TestTheRealDialerRefusesInANetworkWithoutRoutes(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, program)
	child.Env = append(os.Environ(), inEmptyNetwork+"=yes")
	child.SysProcAttr = newNetwork()
	var out, problems bytes.Buffer
	child.Stdout, child.Stderr = &out, &problems
	err = child.Run()
	if errors.Is(err, fs.ErrPermission) { // some systems keep namespaces from ordinary users
		child = exec.CommandContext(ctx, "sudo", "-n", "unshare", "--net", "env", inEmptyNetwork+"=yes", program)
		child.Stdout, child.Stderr = &out, &problems
		err = child.Run()
	}
	require.NoError(t, err, "%s%s", out.String(), problems.String())

	urls, _ := hostile()
	classes := map[string]int{}
	for lines := bufio.NewScanner(&out); lines.Scan(); {
		class, u, _ := strings.Cut(lines.Text(), " ")
		classes[class]++
		require.Contains(t, []string{egress.ClassRefused, "control"}, class, u)
	}
	require.Equal(t, map[string]int{egress.ClassRefused: len(urls) + rebindings, "control": 1}, classes)
}

// rebinding is public when it is first looked up and internal ever after.
const (
	rebinding  = "https://rebind.example/"
	rebindings = 3
)

// newNetwork is a network with nothing in it but a loopback device that is down.
func newNetwork() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return a
}

// callFromNowhere prints the class of each call. The control shows that here only the guard says "refused": an address that
// may be called fails for want of a route.
func callFromNowhere(out io.Writer) int {
	urls, n := hostile()
	n.answers["rebind.example"] = [][]string{{somewherePublic}, {"127.0.0.1"}}
	c := egress.New(egress.Options{Own: ownOrigin, Resolver: n.resolver()})
	for _, u := range urls {
		_, _ = fmt.Fprintf(out, "%s %q\n", classOf(c, u), u)
	}
	_, err := c.Post(context.Background(), egress.Call{URL: rebinding})
	if errors.Is(err, syscall.ENETUNREACH) && egress.Class(err) == egress.ClassConnect {
		_, _ = fmt.Fprintln(out, "control", err)
	}
	for range rebindings {
		_, _ = fmt.Fprintln(out, classOf(c, rebinding), rebinding)
	}
	return 0
}

// classOf trusts the type of the error alone.
func classOf(c *egress.Client, u string) string {
	_, err := c.Post(context.Background(), egress.Call{URL: u, Timeout: 5 * time.Second})
	var refused *egress.Refused
	if errors.As(err, &refused) {
		return egress.ClassRefused
	}
	return fmt.Sprintf("not-refused(%v)", err)
}

package process_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/cmd/process"
)

type cli struct {
	Greet greet `cmd:"" help:"Say something."`
	Break fail  `cmd:"" help:"Go wrong."`
}

type greet struct {
	Name string `help:"Whom."`
}

func (g *greet) Run(ctx context.Context, stdout io.Writer) error {
	fmt.Fprintln(stdout, "hello", g.Name) //nolint:errcheck // a buffer
	return ctx.Err()
}

type fail struct{}

func (*fail) Run() error { return errors.New("it broke") }

func TestRun(t *testing.T) {
	t.Parallel()
	run := func(args ...string) (code int, stdout, stderr string) {
		var out, err bytes.Buffer
		code = process.Run(&cli{}, "shop", "A shop.", args, &out, &err)
		return code, out.String(), err.String()
	}

	t.Run("a command that works exits 0 and says nothing on stderr", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr := run("greet", "--name=Ada")
		require.Equal(t, 0, code)
		require.Equal(t, "hello Ada\n", stdout)
		require.Empty(t, stderr)
	})

	t.Run("a command that fails exits 1 and says why on stderr", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr := run("break")
		require.Equal(t, 1, code)
		require.Empty(t, stdout)
		require.Equal(t, "it broke\n", stderr)
	})

	t.Run("a call that makes no sense exits 2", func(t *testing.T) {
		t.Parallel()
		for _, args := range [][]string{nil, {"sing"}, {"greet", "--loud"}} {
			code, stdout, stderr := run(args...)
			require.Equal(t, 2, code)
			require.Empty(t, stdout)
			require.Contains(t, stderr, "shop --help")
		}
	})

	t.Run("help is an answer, at every level", func(t *testing.T) {
		t.Parallel()
		for _, args := range [][]string{{"--help"}, {"greet", "--help"}} {
			code, stdout, stderr := run(args...)
			require.Equal(t, 0, code)
			require.Contains(t, stdout, "Usage: shop")
			require.Empty(t, stderr)
		}
	})
}

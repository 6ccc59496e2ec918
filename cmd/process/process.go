// Package process is what every command of the shop has in common: how it starts, how it logs and how it stops.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"xsynesis/cmd/config"
)

// Exit codes of every command.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// stopTimeout is when a process that was asked to stop is gone, whatever still hangs.
const stopTimeout = 20 * time.Second

// Run parses args into cli, calls the chosen command's Run method with a context that ends on SIGINT and SIGTERM, and
// returns the exit code. Answers go to stdout, everything else to stderr.
func Run(cli any, name, description string, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signals(context.Background())
	defer stop()
	exit := -1
	parser, err := kong.New(cli, kong.Name(name), kong.Description(description), kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(stdout, (*io.Writer)(nil)), kong.Exit(func(code int) { exit = code }))
	if err != nil {
		panic(err) // the command's own declaration is wrong; every test of it meets this
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // --help has answered
		return exit
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\nSee %s --help\n", name, err, name) //nolint:errcheck // nowhere to say so
		return exitUsage
	}
	if err := command.Run(); err != nil && !stopped(ctx, err) {
		fmt.Fprintln(stderr, err) //nolint:errcheck // nowhere to say so
		return exitFailed
	}
	return exitOK
}

// stopped reports whether err only says that the command was asked to stop.
func stopped(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Canceled)
}

// signals returns a context that ends with the first SIGINT or SIGTERM. The second one kills, and so does time.
func signals(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, syscall.SIGINT, syscall.SIGTERM)
	forget := context.AfterFunc(ctx, func() {
		stop()
		time.AfterFunc(stopTimeout, func() {
			slog.Error("did not stop in time", "limit", stopTimeout)
			os.Exit(exitFailed) // a private database shuts down by itself
		})
	})
	return ctx, func() { forget(); stop() }
}

// Log makes the process's logger and the default one: lines for machines in production, for people elsewhere.
func Log(c *config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	var handler slog.Handler = slog.NewJSONHandler(os.Stderr, options)
	if c.Env == config.Development {
		handler = slog.NewTextHandler(os.Stderr, options)
	}
	log := slog.New(handler)
	slog.SetDefault(log)
	return log
}

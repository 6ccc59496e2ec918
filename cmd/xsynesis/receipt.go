package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"xsynesis/checkout"
	"xsynesis/cmd/config"
	"xsynesis/evm"
)

type receiptCmd struct {
	Verify receiptVerifyCmd `cmd:"" help:"Prove a receipt from the chain alone: who paid whom how much, and for what."`
}

type receiptVerifyCmd struct {
	File string `arg:"" help:"The receipt, as its paid page hands it out; - reads it from the standard input."`
}

// mostReceipt is more than any receipt has.
const mostReceipt = 1 << 20

// Run asks a node of the receipt's network (RPC_URL_<chain id>), and no shop and no database.
func (v *receiptVerifyCmd) Run(ctx context.Context, stdout io.Writer) error {
	text, err := v.read()
	if err != nil {
		return err
	}
	c, err := config.Load(config.Production)
	if err != nil {
		return err
	}
	chains := map[string]*evm.Chain{}
	for _, n := range evm.NewRegistry(c.RPC).All() {
		chains[n.ID] = evm.Dial(n, evm.Options{})
	}
	r, err := checkout.ReadReceipt(text)
	if err != nil {
		return err
	}
	proven, err := checkout.VerifyReceipt(ctx, chains, r)
	if errors.Is(err, evm.ErrNetwork) {
		return fmt.Errorf("%w: set RPC_URL_<chain id> to a node of it", err)
	}
	if err != nil {
		return err
	}
	print(stdout, "proven\n")
	for _, line := range proven.Sentences() {
		print(stdout, "%s\n", line)
	}
	return nil
}

func (v *receiptVerifyCmd) read() ([]byte, error) {
	if v.File == "-" {
		return io.ReadAll(io.LimitReader(os.Stdin, mostReceipt))
	}
	f, err := os.Open(v.File)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return io.ReadAll(io.LimitReader(f, mostReceipt))
}

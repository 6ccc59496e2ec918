package views

import (
	"testing"

	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
)

func TestPagesOfCodes(t *testing.T) {
	t.Parallel()
	code, err := NewQR("https://pay.example/link/7NqJ4kd2RmXcVb8sTgHyPw?code=SPRING-7K2M-9QXT-4HNB")
	require.NoError(t, err)
	flyer := CodeBatchRow{Batch: "cbt_3vQB7u9dXkZpR2mNcTfWyA", Name: "Spring flyer", Count: 1000, Off: "25 % off", For: "Tasting evening, one seat", Used: 17, Uses: 1000, State: "active"}
	batch := CodeBatchView{
		DashboardView: shell("Spring flyer", SectionCodes), CodeBatchRow: flyer, PerCode: 1, PerWallet: 1, From: at(1, 9, 0, 0), Until: at(30, 20, 0, 0),
		Address: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", Created: at(1, 8, 59, 0), Pages: Pages{Older: "?before=cod_1"},
		Codes: []CodeRow{
			{"cod_1", "SPRING-7K2M-9QXT-4HNB", 0, 1, "active"}, {"cod_2", "SPRING-Q4ZT-0XWD-77RS", 1, 1, "used"}, {"cod_3", `"><script>`, 0, 1, "revoked"},
		},
	}
	watched := batch
	watched.Barred, watched.PerWallet, watched.Address = []access.Permission{access.ChangeCodes}, 0, ""
	for name, page := range map[string]templ.Component{
		"codes": CodeBatches(CodeBatchesView{DashboardView: shell("Codes", SectionCodes), Batches: []CodeBatchRow{
			flyer, {Batch: "cbt_4", Name: "J1D4-6K97-G662", Count: 1, Off: "Free", Used: 1, Uses: 1, State: "used"},
			{Batch: "cbt_5", Name: "Press", Count: 2, Off: "2.00 USDC off", Uses: 80, State: "scheduled"},
			{Batch: "cbt_6", Name: "Old ones", Count: 2, Off: "Free", Uses: 2, State: "revoked"}, {Batch: "cbt_7", Name: "Last year", Count: 2, Off: "Free", Uses: 2, State: "expired"},
		}}),
		"codes_none":    CodeBatches(CodeBatchesView{DashboardView: shell("Codes", SectionCodes)}),
		"codes_batch":   CodeBatch(batch),
		"codes_watched": CodeBatch(watched),
		"codes_new":     CodeForm(CodeFormView{DashboardView: shell("New codes", SectionCodes), Zone: "UTC", Once: "7yGm2QwErTzUiPaSdFgHjK", Count: Field{Value: "1"}, Uses: Field{Value: "1"}}),
		"codes_refused": CodeForm(CodeFormView{
			DashboardView: shell("New codes", SectionCodes), Zone: "UTC", Off: Field{Value: "amount"}, Amount: Field{"much", "Give an amount such as 12.50, with at most six decimals."},
			Own: Field{"AB", "“AB” is no code."}, PerWallet: Field{Value: "2"}, Until: Field{"2001-01-01T00:00", "This time is over."}, For: Field{Value: "lnk_1"},
			Subjects: []CodeSubjects{{"Links", []Option{{"lnk_1", "Tasting evening, one seat"}, {"lnk_2", "<b>"}}}},
		}),
		"codes_sheet": CodeSheet(CodeSheetView{
			Shop: "Kaffe Nord", Test: true, Back: CodesPath, Name: "Spring flyer", Off: "25 % off", For: "Tasting evening, one seat", Until: at(30, 20, 0, 0),
			Cards: []CodeCard{{"SPRING-7K2M-9QXT-4HNB", code}},
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name, page)
		})
	}
}

func TestTheFieldOfACodeIsThereWhereSomethingIsToBePaid(t *testing.T) {
	t.Parallel()
	require.Empty(t, render(t, codeField(CodeField{})))
	folded := render(t, codeField(CodeField{Asked: true}))
	require.Contains(t, folded, "Have a code?")
	require.NotContains(t, folded, " open")
	applied := render(t, codeField(CodeField{Asked: true, Field: Field{Value: "SPRING"}, Applied: "6.00 USDC"}))
	require.Contains(t, applied, " open")
	require.Contains(t, applied, "Taken off: 6.00 USDC.")
	refused := render(t, codeField(CodeField{Asked: true, Field: Field{"<b>", "This code is not known."}, AsksFor: true}))
	require.Contains(t, refused, `aria-invalid="true"`)
	require.Contains(t, refused, "&lt;b&gt;")
	require.Contains(t, refused, `name="buyer_address"`)
}

//! The page's style sheet, written from one table of colours for light and one for dark.

use std::fmt::Write as _;

/// A colour by its name; text colours have a contrast of at least 4.5 to 1 on `page` and `card`.
pub(super) type Colours = [(&'static str, &'static str); 11];

/// By day and on paper.
pub const LIGHT: [(&str, &str); 11] = [
    ("page", "#f3f5f8"),
    ("card", "#ffffff"),
    ("text", "#1a2230"),
    ("muted", "#566173"),
    ("edge", "#d5dbe4"),
    ("canary", "#a3480a"),
    ("baseline", "#2f5f9e"),
    ("good", "#17713a"),
    ("warn", "#8a5a00"),
    ("bad", "#b3261e"),
    ("more", "#3c5a7d"),
];

/// By night.
pub const DARK: [(&str, &str); 11] = [
    ("page", "#0f141b"),
    ("card", "#18202a"),
    ("text", "#e8edf4"),
    ("muted", "#a3b0c2"),
    ("edge", "#303c4b"),
    ("canary", "#ffa45c"),
    ("baseline", "#86b7f5"),
    ("good", "#63d491"),
    ("warn", "#f2c14e"),
    ("bad", "#ff8f85"),
    ("more", "#a9c4e4"),
];

/// The whole sheet.
pub(super) fn sheet() -> String {
    let variables = |colours: &Colours| {
        let mut text = String::new();
        for (name, value) in colours {
            let _ = write!(text, "--{name}:{value};");
        }
        text
    };
    format!(
        ":root{{{}}}@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}{RULES}",
        variables(&LIGHT),
        variables(&DARK)
    )
}

const RULES: &str = "
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}
main{max-width:1120px;margin:0 auto;padding:20px 16px 48px}
p,h1,h2,dl,dd,ul,figure{margin:0}
h1{font-size:clamp(1.35rem,4.5vw,2.1rem);line-height:1.2;margin:2px 0 8px;text-wrap:balance}
h2{font-size:1.15rem;margin:0 0 10px}
header{background:var(--card);border:1px solid var(--edge);border-left:10px solid var(--tone);border-radius:12px;padding:18px 22px}
.of,.muted{color:var(--muted)}
.of{font-size:.92rem}
.verdict{color:var(--tone);font-weight:800;font-size:1.05rem;letter-spacing:.04em;margin-top:10px}
.said{font-size:1.02rem}
.good{--tone:var(--good)}.warn{--tone:var(--warn)}.bad{--tone:var(--bad)}.more{--tone:var(--more)}
section{margin-top:26px}
section .sign,section .word,td.good,td.warn,td.bad,td.more{color:var(--tone)}
section .word{font-size:.8rem;letter-spacing:.05em}
.facts{display:flex;flex-wrap:wrap;gap:10px;margin-top:12px}
.facts div{flex:1 1 130px;background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:10px 14px;display:flex;flex-direction:column-reverse;justify-content:flex-end}
.facts dd{font-size:1.3rem;font-weight:700;font-variant-numeric:tabular-nums}
.facts dt{color:var(--muted);font-size:.85rem}
.terms{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr));gap:2px 24px;margin-bottom:12px;font-size:.95rem}
.terms div{display:flex;gap:8px}
.terms .wide{grid-column:1/-1}
.terms dt{color:var(--muted);flex:none}
.terms dd{font-variant-numeric:tabular-nums}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,430px),1fr));gap:14px}
figure{background:var(--card);border:1px solid var(--edge);border-radius:12px;padding:14px 16px 10px;break-inside:avoid}
figcaption strong{display:block;font-size:1.05rem;line-height:1.3;text-wrap:balance}
figcaption span{color:var(--muted);font-size:.85rem}
svg{display:block;width:100%;height:auto;margin-top:4px;font:12.5px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}
svg text{fill:var(--text)}
svg .axis{fill:var(--muted);font-variant-numeric:tabular-nums}
svg .end{text-anchor:end}svg .middle{text-anchor:middle}svg .start{text-anchor:start}
svg .label,svg .mark{font-weight:600}
svg .grid,svg .tick{stroke:var(--edge);stroke-width:1;fill:none}
svg .line{fill:none;stroke-width:2.6;stroke-linejoin:round;stroke-linecap:round}
svg .thin{stroke-width:1.2;opacity:.75}
svg .canary{stroke:var(--canary)}svg .baseline{stroke:var(--baseline);stroke-dasharray:7 4}
svg .good{stroke:var(--good);stroke-dasharray:2 5}svg .bad{stroke:var(--bad)}
svg .enough,svg .limit{stroke:var(--muted);stroke-width:1.2;stroke-dasharray:3 3}
svg .step{stroke:var(--edge);stroke-width:1.5}
svg .verdict{stroke:var(--bad);stroke-width:1.6}svg .held{stroke:var(--warn);stroke-width:1.6}svg .passed{stroke:var(--good);stroke-width:1.6}
svg text.canary{fill:var(--canary);stroke:none}svg text.baseline{fill:var(--baseline);stroke:none}
svg text.good,svg text.passed{fill:var(--good);stroke:none}svg text.bad,svg text.verdict{fill:var(--bad);stroke:none;letter-spacing:0;font-size:12.5px}
svg text.held{fill:var(--warn);stroke:none}
svg text.muted{fill:var(--muted)}
svg .area{stroke:none}
svg .veil{fill:var(--card);opacity:.62}
svg .area.canary{fill:var(--canary);opacity:.17}
svg .warn-band{fill:var(--warn);opacity:.13}svg .bad-band{fill:var(--bad);opacity:.13}
svg .dot{stroke:var(--card);stroke-width:2}svg .dot.bad{fill:var(--bad)}svg .dot.good{fill:var(--good);stroke-dasharray:none}
.legend{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:2px 16px;font-size:.85rem;color:var(--muted);margin-top:4px}
.legend li{display:flex;align-items:center;gap:6px}
.key{width:20px;height:0;border-top:3px solid}
.key.canary{color:var(--canary)}.key.baseline{color:var(--baseline);border-top-style:dashed}
.key.good{color:var(--good);border-top-style:dotted}.key.bad{color:var(--bad)}
.key.canary-area,.key.warn-band,.key.bad-band{height:11px;border:0}
.key.canary-area{background:color-mix(in srgb,var(--canary) 25%,transparent)}
.key.warn-band{background:color-mix(in srgb,var(--warn) 25%,transparent)}
.key.bad-band{background:color-mix(in srgb,var(--bad) 25%,transparent)}
details{margin-top:8px;font-size:.88rem}
summary{color:var(--muted);cursor:pointer}
.scroll{overflow-x:auto}
table{background:var(--card);border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:3px 8px;text-align:right;border-bottom:1px solid var(--edge);vertical-align:top}
th:first-child,td:first-child{text-align:left}
th{color:var(--muted);font-weight:600}
table.words{background:var(--card)}table.words th,table.words td{text-align:left;padding:6px 10px}
table.words td:not(:last-child),table.words tbody th,td b{white-space:nowrap}
table.words tbody th{color:var(--text)}
tr.group>*{border-top:2px solid var(--edge)}
.foot{font-size:.95rem}.foot p{margin-top:6px;max-width:75ch}
@media (max-width:560px){main{padding:10px 10px 32px}header{padding:14px 14px;border-left-width:8px}figure{padding:12px 8px 8px}svg{font-size:14.5px}svg text.bad,svg text.verdict{font-size:14.5px}.facts div{flex-basis:104px;padding:8px 10px}.facts dd{font-size:1.1rem}}
@media (max-width:560px){table{font-size:.8rem}th,td{padding:3px 5px}table.words{font-size:.9rem}table.words thead{position:absolute;left:-9999px}table.words tr{display:flex;flex-wrap:wrap;gap:0 14px;padding:8px 10px;border-bottom:1px solid var(--edge)}table.words tbody th,table.words td{padding:0;border:0}table.words td:last-child{flex-basis:100%}table.words td[data-of]::before{content:attr(data-of) ' ';color:var(--muted)}}
@media print{body{background:none;font-size:11pt}main{max-width:none;padding:0}header,figure,.facts div{border-color:#999}.charts{grid-template-columns:1fr 1fr}section{break-inside:auto}h2{break-after:avoid}details{display:none}}
";

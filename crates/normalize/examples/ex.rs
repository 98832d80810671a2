use std::io::BufRead;
fn main() {
    let n = panoptes_normalize::Normalizer::default();
    for l in std::io::stdin().lock().lines() {
        let l = l.unwrap();
        println!("--- {l}");
        let e =
            n.explain(&l, &panoptes_model::Origin::default(), panoptes_model::Timestamp::from_seconds(1_861_833_600));
        print!("{e}");
    }
}

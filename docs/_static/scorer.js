// A lesson stands before the glossary and what is for teachers, these before the API and the pages of the project.
const later = {glossary: 1, teaching: 1, api: 2, changelog: 3, contributing: 3, benchmarks: 3};
var Scorer = {
  score: ([page, , , , score]) => score - 100 * (later[page] ?? 0),
  objNameMatch: 11, objPartialMatch: 6, objPrio: {0: 15, 1: 5, 2: -5}, objPrioDefault: 0,
  title: 15, partialTitle: 7, term: 5, partialTerm: 2,
};
